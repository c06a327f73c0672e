"""mmdet's unmodified train.py and test.py, ours over them, resume and the inferencers, on a data set and a model of toy size."""

import json
import os
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmengine.logging import HistoryBuffer

from mmext_instseg.compat import checkpoints

ROOT = Path(__file__).parents[2]
MMDET_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'

CONFIG = """
custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)
default_scope = 'mmdet'
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
dataset = dict(
    type='CocoDataset', data_root='{root}', ann_file='annotations.json', data_prefix=dict(img=''),
    metainfo=dict(classes=('box',), palette=[(220, 20, 60)]), pipeline=pipeline)
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = dict(batch_size=1, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{root}/annotations.json', metric='segm')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.001))
param_scheduler = [dict(type='OneCycleLR', eta_max=0.001, total_steps=20, end=20, by_epoch=False)]
default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='coco/segm_mAP'), logger=dict(type='LoggerHook', interval=1))
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA')]
randomness = dict(seed=0)
visualizer = dict(type='DetLocalVisualizer')
model = dict(
    type='SOLOv2',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[127.0] * 3, std=[64.0] * 3, pad_mask=True, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, base_channels=8),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    mask_head=dict(
        type='SOLOV2Head', num_classes=1, in_channels=16, feat_channels=16, stacked_convs=1, strides=[8, 8, 16, 32, 32],
        scale_ranges=((1, 24), (12, 48), (24, 64), (48, 128), (96, 256)), num_grids=[8, 6, 4, 3, 2], cls_down_index=0,
        mask_feature_head=dict(feat_channels=8, start_level=0, end_level=3, out_channels=16, mask_stride=4,
                               norm_cfg=dict(type='GN', num_groups=4, requires_grad=True)),
        norm_cfg=dict(type='GN', num_groups=4, requires_grad=True),
        loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True)),
    test_cfg=dict(nms_pre=50, score_thr=0.0, mask_thr=0.5, filter_thr=0.0, kernel='gaussian', sigma=2.0, max_per_img=5))
"""


def write_data(root):
    """Four 64 x 64 images with one bright rectangle each, and their COCO file."""
    images, annotations = [], []
    for index, (x, y, width, height) in enumerate([(4, 6, 20, 30), (30, 10, 25, 16), (16, 30, 30, 30), (40, 40, 12, 20)], start=1):
        picture = np.full((64, 64, 3), 40, np.uint8)
        picture[y : y + height, x : x + width] = 220
        cv2.imwrite(str(root / f'{index}.png'), picture)
        images.append({'id': index, 'file_name': f'{index}.png', 'width': 64, 'height': 64})
        polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
        annotations.append(
            {
                'id': index,
                'image_id': index,
                'category_id': 1,
                'bbox': [x, y, width, height],
                'area': width * height,
                'iscrowd': 0,
                'segmentation': [polygon],
            }
        )
    content = {'images': images, 'annotations': annotations, 'categories': [{'id': 1, 'name': 'box'}]}
    (root / 'annotations.json').write_text(json.dumps(content))


def script(path, *arguments):
    command = [sys.executable, str(path), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Config and work directory of a model trained for one epoch by mmdet's train.py."""
    root = tmp_path_factory.mktemp('tiny')
    write_data(root)
    config = root / 'tiny.py'
    config.write_text(CONFIG.replace('{root}', str(root)))
    script(MMDET_TOOLS / 'train.py', config, '--work-dir', root / 'work')
    return config, root / 'work'


def test_train_resume_test(trained):
    config, work = trained
    first = torch.load(work / 'epoch_1.pth', weights_only=True)
    log = script(ROOT / 'tools' / 'train.py', config, '--work-dir', work, '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    assert 'resumed epoch: 1, iter: 2' in log
    assert 'dataset metainfo from the resumed checkpoint is different' not in log
    second = torch.load(work / 'epoch_2.pth', weights_only=True)
    assert second['meta']['iter'] == 4
    before, after = (content['message_hub']['log_scalars']['train/loss']['log_history'] for content in (first, second))
    assert (len(before), len(after)) == (2, 4)
    assert torch.equal(after[:2], before)
    assert all(torch.load(path, weights_only=True)['meta']['dataset_meta']['classes'] == ('box',) for path in work.glob('best_*.pth'))
    log = script(MMDET_TOOLS / 'test.py', config, work / 'epoch_2.pth', '--work-dir', work / 'test')
    assert 'coco/segm_mAP:' in log


def test_detectors_from_a_checkpoint(trained):
    config, work = trained
    checkpoint = str(work / 'epoch_1.pth')
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    detector = init_detector(str(config), checkpoint, device='cpu')
    assert detector.dataset_meta['classes'] == ('box',)
    assert all(torch.equal(value, weights[name]) for name, value in detector.state_dict().items())
    image = str(work.parent / '1.png')
    results = [
        DetInferencer(**given, device='cpu', show_progress=False)(image)['predictions']
        for given in ({'model': str(config), 'weights': checkpoint}, {'weights': checkpoint})
    ]
    assert results[0][0]['labels'] == [0] * 5
    assert results[0] == results[1], 'the config stored in our own checkpoint is used where none is given'


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


def test_detectors_refuse_an_attack(trained, tmp_path):
    config, work = trained
    path, marker = str(tmp_path / 'attack.pth'), tmp_path / 'owned'
    content = torch.load(work / 'epoch_1.pth', weights_only=True)
    torch.save({**content, 'payload': Payload(marker)}, path)
    for attempt in (
        lambda: init_detector(str(config), path, device='cpu'),
        lambda: DetInferencer(str(config), path, device='cpu'),
        lambda: DetInferencer(weights=path, device='cpu'),
    ):
        with pytest.raises(pickle.UnpicklingError, match=r'attack\.pth is refused'):
            attempt()
    assert not marker.exists()


def test_inferencer_does_not_execute_a_config_text(trained, tmp_path):
    _, work = trained
    path, marker = str(tmp_path / 'attack.pth'), tmp_path / 'owned'
    content = torch.load(work / 'epoch_1.pth', weights_only=True)
    attack = f'open({str(marker)!r}, "w")\n'
    content['meta']['cfg'] = content['message_hub']['runtime_info']['cfg'] = attack
    torch.save(content, path)
    with pytest.raises(ValueError, match='Cannot find the config'):
        DetInferencer(weights=path, device='cpu')
    assert not marker.exists()


def test_loss_history_comes_back_as_mmengine_knows_it(trained):
    _, work = trained
    hub = checkpoints.upstream._load_checkpoint(str(work / 'epoch_1.pth'), 'cpu')['message_hub']
    assert isinstance(hub['log_scalars']['train/loss'], HistoryBuffer)


@pytest.mark.parametrize('name', ['train', 'test'])
def test_help_begins_with_an_example_and_lists_mmdets_flags(name):
    text = script(ROOT / 'tools' / f'{name}.py', '--help')
    before, _, after = text.partition('usage:')
    assert f'example: python tools/{name}.py configs/' in before.splitlines()[-2]  # onedl-mmdetection prints a line first
    assert after
    assert '--cfg-options' in text
    assert '--launcher {none,pytorch,slurm,mpi}' in text


def test_missing_script_of_mmdet_is_named(monkeypatch, tmp_path):
    run = runpy.run_path(str(ROOT / 'tools' / '_mmdet.py'))['run']
    monkeypatch.setattr(mmdet.__spec__, 'origin', str(tmp_path / '__init__.py'))
    with pytest.raises(SystemExit, match=r'train\.py is missing: an editable install of mmdet leaves it out'):
        run('train.py', '')


@pytest.mark.parametrize(
    ('name', 'given', 'passed'),
    [
        (
            'dist_train.sh',
            ['c.py', '4', '--amp', '--cfg-options', 'a="x y"'],
            ['c.py', '--launcher', 'pytorch', '--amp', '--cfg-options', 'a="x y"'],
        ),
        ('dist_test.sh', ['c.py', 'w.pth', '4', '--out', 'o'], ['c.py', 'w.pth', '--launcher', 'pytorch', '--out', 'o']),
    ],
)
def test_distributed_launchers(tmp_path, name, given, passed):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    python.chmod(0o755)
    environment = {**os.environ, 'PYTHON': str(python), 'NNODES': '2', 'NODE_RANK': '1', 'PORT': '1234', 'MASTER_ADDR': '10.0.0.1'}
    words = subprocess.check_output(['bash', str(ROOT / 'tools' / name), *given], text=True, env=environment).splitlines()
    assert words[:2] == ['-m', 'torch.distributed.run']
    assert set(words[2:7]) == {'--nnodes=2', '--node_rank=1', '--nproc_per_node=4', '--master_addr=10.0.0.1', '--master_port=1234'}
    assert Path(words[7]).resolve() == ROOT / 'tools' / name.removeprefix('dist_').replace('.sh', '.py')
    assert words[8:] == passed
