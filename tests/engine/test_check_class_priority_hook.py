"""CheckClassPriorityHook in mmengine's three loops: wrong files stop before the first iteration."""

import json

import pytest
import torch
from engine.toy import ToyLine, ToyNumbers, toy_config
from mmengine.runner import Runner

from mmext_instseg.models.heads import GridClassHead
from mmext_instseg.registry import DATASETS, MODELS

CLASSES = ('cat', 'dog', 'cow')


@DATASETS.register_module()
class ToyAnimals(ToyNumbers):
    metainfo = {'classes': CLASSES}
    ann_file = 'data/animals train.json'


@MODELS.register_module()
class ToyLineWithGrid(ToyLine):
    def __init__(self, priority, **kwargs):
        super().__init__(**kwargs)
        self.seen = 0
        self.grid = GridClassHead(in_channels=4, num_things_classes=3, priority=priority)
        self.grid.requires_grad_(requires_grad=False)

    def forward(self, inputs, mode='tensor'):
        self.seen += 1
        return super().forward(inputs, mode)


@pytest.fixture
def runner(tmp_path):
    def build(priority):
        cfg = toy_config(tmp_path / 'work', dict(type='IterBasedTrainLoop', max_iters=2, val_interval=10))
        for name in ('train_dataloader', 'val_dataloader'):
            cfg[name]['dataset'] = dict(type='ToyAnimals')
        cfg['model'] = dict(type='ToyLineWithGrid', priority=priority)
        cfg |= dict(test_dataloader=cfg['val_dataloader'], test_cfg=dict(), test_evaluator=cfg['val_evaluator'])
        return Runner(**cfg, custom_hooks=[dict(type='CheckClassPriorityHook')])

    return build


def write(path, classes):
    path.write_text(json.dumps({'classes': classes, 'instances': [9, 5, 7], 'priority': [classes[i] for i in (1, 2, 0)]}))
    return str(path)


@pytest.mark.parametrize('loop', ['train', 'val', 'test'])
def test_the_list_is_there_before_the_first_iteration(runner, tmp_path, loop):
    made = runner(write(tmp_path / 'priority.json', CLASSES))
    getattr(made, loop)()
    assert made.model.grid.priority.tolist() == [2, 0, 1, 3]
    assert made.model.seen > 0


@pytest.mark.parametrize('loop', ['train', 'val', 'test'])
@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (None, 'priority.json: no class priority to be read there'),
        (('dog', 'cat', 'cow'), "priority.json: class 0 is 'dog' there and 'cat' in the data set"),
        (('cat', 'dog', 'hen'), "priority.json: class 2 is 'hen' there and 'cow' in the data set"),
    ],
)
def test_missing_and_wrong_files_stop_at_the_start(runner, tmp_path, loop, classes, message):
    path = tmp_path / 'priority.json'
    made = runner(str(path))
    if classes is not None:
        write(path, classes)
    elif loop == 'test':  # prediction needs none
        made.test()
        return
    with pytest.raises(ValueError, match=message) as caught:
        getattr(made, loop)()
    annotations = "'data/animals train.json'" if loop == 'train' else 'TRAINING_ANNOTATIONS'
    assert f'python tools/class_priority.py {annotations} --out {path} --classes cat dog cow' in str(caught.value)
    assert made.model.seen == 0


def test_lists_of_numbers_and_models_without_the_head_are_left_alone(runner):
    made = runner((2,))
    made.train()
    assert torch.equal(made.model.grid.priority, torch.tensor([1.0, 2.0, 0.0, 3.0]))


def test_a_model_without_the_head(tmp_path):
    cfg = toy_config(tmp_path, dict(type='IterBasedTrainLoop', max_iters=1, val_interval=10))
    runner = Runner(**cfg, custom_hooks=[dict(type='CheckClassPriorityHook')])
    runner.train()
    assert runner.iter == 1
