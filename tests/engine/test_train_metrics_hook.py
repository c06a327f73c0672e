"""On the smallest thing that mmengine trains: the metric is its weight, and the sum of the data that it saw."""

import copy
import json
from pathlib import Path

import pytest
import torch
from engine.toy import toy_config
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmext_instseg.engine.hooks.train_metrics_hook import train_as_val
from mmext_instseg.registry import DATASETS, METRICS


@DATASETS.register_module()
class PipedNumbers(Dataset):
    """Numbers from 1 on, each `pipeline` times; as a training data set without the 1."""

    def __init__(self, count: int, pipeline: float, test_mode: bool = False) -> None:
        self.values = [pipeline * number for number in range(1 if test_mode else 2, count + 1)]
        self.metainfo = dict(count=count)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return {'inputs': torch.tensor([self.values[index]])}


@METRICS.register_module()
class WeightAndSum(BaseMetric):
    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        inputs = torch.stack(data_batch['inputs'])
        self.results += list(zip(inputs.flatten().tolist(), (data_samples[0] / inputs).flatten().tolist(), strict=True))

    def compute_metrics(self, results):
        assert self.dataset_meta['count'] == len(results)
        return {'sum': sum(value for value, _ in results), 'weight': sum(weight for _, weight in results) / len(results)}


class GrowWeight(Hook):
    """The weight becomes the number of the iteration."""

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        runner.model.layer.weight.data.fill_(runner.iter + 1.0)


def make_config(folder: Path, train_cfg: dict, hook: dict) -> dict:
    config = toy_config(folder, train_cfg)
    config['optim_wrapper']['optimizer']['lr'] = 0.0
    config['train_dataloader']['dataset'] = dict(type='PipedNumbers', count=5, pipeline=1.0)  # two batches an epoch
    config['val_dataloader'].update(dataset=dict(type='PipedNumbers', count=3, pipeline=10.0, test_mode=True))
    config['val_evaluator'] = dict(type='WeightAndSum')
    config['custom_hooks'] = [dict(type='TrainMetricsHook', evaluator=dict(type='WeightAndSum'), **hook)]
    return config


def train(config: dict, *hooks: Hook) -> list[dict]:
    """The rows that validations logged."""
    runner = Runner.from_cfg(Config(copy.deepcopy(config)))
    for hook in (GrowWeight(), *hooks):
        runner.register_hook(hook)
    runner.train()
    (path,) = Path(runner.work_dir).glob('*/vis_data/scalars.json')
    return [row for row in map(json.loads, path.read_text().splitlines()) if 'toy/sum' in row]


EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=2)


def test_metrics_of_the_training_data_in_every_validation(tmp_path):
    rows = train(make_config(tmp_path, EPOCHS, {}))
    # 1 to 5 and 1 to 3, ten times each by the validation's pipeline
    assert [(row['train/toy/sum'], row['toy/sum']) for row in rows] == [(150, 60)] * 2
    assert [(row['train/toy/weight'], row['toy/weight']) for row in rows] == [(pytest.approx(w), pytest.approx(w)) for w in (2, 4)]


def test_data_given(tmp_path):
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    loader['dataset'] = dict(type='PipedNumbers', count=4, pipeline=1.0, test_mode=True)
    cfg = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=3)
    (row,) = train(make_config(tmp_path, cfg, dict(dataloader=loader)))
    assert (row['train/toy/sum'], row['train/toy/weight']) == (10, pytest.approx(3))


def test_other_hooks_see_them(tmp_path):
    config = make_config(tmp_path, EPOCHS, {})
    config['default_hooks'] = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='train/toy/weight', rule='greater'))
    train(config)
    assert list(tmp_path.glob('best_train_toy_weight_epoch_2.pth'))


def test_averaged_weights_are_judged(tmp_path):
    config = make_config(tmp_path, EPOCHS, {})
    config['custom_hooks'].append(dict(type='EMAHook', momentum=0.5))
    for row in train(config):
        assert row['train/toy/weight'] == pytest.approx(row['toy/weight']) != row['step'] * 2


def test_validation_alone_has_none(tmp_path):
    runner = Runner.from_cfg(Config(make_config(tmp_path, EPOCHS, {})))
    assert set(runner.val()) == {'toy/sum', 'toy/weight'}


def test_the_config_stays_as_it_is():
    train, val = dict(dataset=dict(type='A', pipeline=[1])), dict(batch_size=3, dataset=dict(type='B', pipeline=[2]))
    cfg = Config(dict(train_dataloader=train, val_dataloader=val))
    before = copy.deepcopy(cfg.to_dict())
    assert train_as_val(cfg) == dict(batch_size=3, dataset=dict(type='A', pipeline=[2], test_mode=True))
    assert cfg.to_dict() == before


@pytest.mark.parametrize('name', ['train_dataloader', 'val_dataloader'])
def test_wrapped_or_absent_data_sets_are_named(tmp_path, name):
    config = make_config(tmp_path, EPOCHS, {})
    config[name]['dataset'] = dict(type='RepeatDataset', times=2, dataset=config[name]['dataset'])
    with pytest.raises(ValueError, match=rf'{name}\.dataset has no pipeline of its own; give TrainMetricsHook\.dataloader'):
        train_as_val(Config(config))
    with pytest.raises(ValueError, match=name):
        train_as_val(Config({**config, name: None}))
