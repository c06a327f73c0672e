"""AML-SOLOv2's configs: the paper's ladder, the model zoo beside it, and training from files to scores as the user runs it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv import rescale_size
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner
from recipe_data import write_cityscapes
from test_configs import CONFIGS, shrink_data
from toy_models import as_toy, without_weights

from mmext_instseg.registry import MODELS

FOLDER = CONFIGS / 'aml_solov2'
CLASSES = ('car', 'person', 'truck', 'bus', 'rider')
# Table 1: CSPAM, TWFPN + CSMF, AML
ROWS = {
    '-plain': (False, False, False),
    '-cspam': (True, False, False),
    '-twfpn-csmf': (False, True, False),
    '-aml': (False, False, True),
    '-cspam-twfpn-csmf': (True, True, False),
    '-twfpn-csmf-aml': (False, True, True),
    '-cspam-aml': (True, False, True),
    '': (True, True, True),
}


def load(name: str) -> Config:
    return Config.fromfile(FOLDER / f'aml_solov2_{name}.py')


@pytest.mark.parametrize(('name', 'parts'), ROWS.items(), ids=[name or 'full' for name in ROWS])
def test_table_1(name, parts):
    """A row has the baseline's settings but for its parts, which are those of the full model."""
    row, plain, full = load(f'r50{name}_40e_coco'), load('r50-plain_40e_coco'), load('r50_40e_coco')
    cspam, fusion, aml = (full if part else plain for part in parts)
    assert row.model.backbone == cspam.model.backbone
    assert row.model.neck == {**fusion.model.neck, 'in_channels': cspam.model.neck.in_channels}
    assert row.model.mask_head.pop('mask_feature_head') == fusion.model.mask_head.pop('mask_feature_head')
    assert [row.model.mask_head.pop(key) for key in ('matching', 'loss_mask')] == [
        aml.model.mask_head.pop(key) for key in ('matching', 'loss_mask')
    ]
    for config in (row, plain):
        assert config.pop('sync_bn', None) == ('torch' if config.model.backbone.type == 'CSPAMResNet' else None)
        for key in ('matching', 'loss_mask', 'mask_feature_head'):
            config.model.mask_head.pop(key, None)
        for key in ('backbone', 'neck'):
            config.model.pop(key)
    assert row.to_dict() == plain.to_dict()


def test_the_parts_of_the_full_and_the_plain_model():
    full, plain = load('r50_40e_coco').model, load('r50-plain_40e_coco').model
    assert (full.backbone.type, full.neck.type, full.mask_head.mask_feature_head.type) == ('CSPAMResNet', 'TWFPN', 'CSMF')
    assert (full.mask_head.matching, full.mask_head.loss_mask) == ('minimum', dict(type='CentroidDiceLoss', loss_weight=3.0))
    assert (plain.backbone.type, plain.neck.type, plain.mask_head.matching) == ('ResNet', 'FPN', 'none')
    assert plain.backbone.norm_eval is True and plain.backbone.frozen_stages == 1  # as mmdet's
    assert not full.backbone.keys() & {'norm_eval', 'frozen_stages'}  # its weights are for another activation: all is trained


def test_cityscapes_is_scaled_as_coco_is():
    """To 0.8 to 1 of the full size, in six steps."""
    resize = next(step for step in load('r50_40e_cityscapes').train_dataloader.dataset.pipeline if step.type == 'RandomChoiceResize')
    assert [rescale_size((2048, 1024), tuple(scale))[1] for scale in resize.scales] == [600, 576, 552, 528, 504, 480]


def shapes_of(model: dict) -> dict[str, torch.Size]:
    """Parameters and buffers by name; nothing is computed."""
    with torch.device('meta'):
        return {name: value.shape for name, value in MODELS.build(model).state_dict().items()}


def test_plain_is_the_model_zoos_network():
    theirs, ours = get_config('mmdet::solov2/solov2_r50_fpn_1x_coco.py').model, load('r50-plain_40e_coco').model
    for key in ('data_preprocessor', 'test_cfg'):
        assert ours[key] == theirs[key]
    assert {**ours.mask_head, 'type': 'SOLOV2Head'} == {**theirs.mask_head, 'matching': 'none'}
    assert shapes_of(without_weights(ours)) == shapes_of(without_weights(theirs))


def test_the_head_drops_into_the_model_zoos_config_as_the_documents_show():
    (code,) = re.findall(r'```python\n(.*?)```', (CONFIGS.parent / 'docs' / 'methods' / 'aml_solov2.md').read_text(), re.DOTALL)
    model, theirs = Config.fromstring(code, '.py').model, get_config('mmdet::solov2/solov2_r50_fpn_1x_coco.py').model
    assert type(MODELS.build(without_weights(model)).mask_head.loss_mask).__name__ == 'CentroidDiceLoss'
    assert shapes_of(without_weights(model)) == shapes_of(without_weights(theirs))


@pytest.mark.parametrize(
    ('name', 'zoo'), [('r50_1x', 'r50_fpn_1x'), ('r50_ms-3x', 'r50_fpn_ms-3x'), ('light-r50_ms-3x', 'light_r50_fpn_ms-3x')]
)
def test_data_and_schedule_are_the_model_zoos(name, zoo):
    theirs = get_config(f'mmdet::solov2/solov2{"-" if "light" in zoo else "_"}{zoo}_coco.py')
    ours = load(f'{name}_coco')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert without_defaults(ours[loader]) == without_defaults(theirs[loader])
    for key in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr'):
        assert without_defaults(ours[key]) == without_defaults(theirs[key])
    assert ours.train_cfg.max_epochs == theirs.train_cfg.max_epochs
    head = {key: value for key, value in ours.model.mask_head.items() if key not in ('type', 'matching', 'loss_mask', 'mask_feature_head')}
    assert head == {key: theirs.model.mask_head[key] for key in head}
    assert ours.model.mask_head.mask_feature_head.out_channels == theirs.model.mask_head.mask_feature_head.out_channels


def without_defaults(value):
    """A part of a config without scopes and empty settings."""
    if isinstance(value, dict):
        return {key: without_defaults(one) for key, one in value.items() if key not in ('_scope_', 'backend_args')}
    return [without_defaults(one) for one in value] if isinstance(value, list | tuple) else value


def small(name: str) -> Config:
    """The config with one epoch, narrow, on small images, with thresholds that an untrained network passes."""
    config = load(name)
    config.work_dir = 'work_dirs/' + name
    config.model = as_toy(config.model)
    config.model.test_cfg.update(score_thr=0.0, filter_thr=0.0, nms_pre=20, max_per_img=20)
    shrink_data(config, scale=(160, 96), batch_size=2)
    config.train_cfg.update(max_epochs=1)
    return config


def train(config: Config) -> dict[str, float]:
    """Two iterations and a validation; its figures."""
    runner = Runner.from_cfg(config)
    runner.train()
    scalars = runner.message_hub.log_scalars
    assert runner.iter == 2
    assert all(np.isfinite(scalars[f'train/{key}'].current()) for key in ('loss_mask', 'loss_cls'))
    return {key.removeprefix('val/'): value.current() for key, value in scalars.items() if key.startswith('val/')}


@pytest.mark.parametrize('name', ['r50_40e_coco', 'r50-plain_40e_coco', 'r50_1x_coco', 'light-r50_ms-3x_coco'])
def test_coco_on_real_images(name, coco_folder):
    found = train(small(name))
    assert all(0 <= found[f'coco/{kind}_mAP'] <= 1 for kind in ('segm', 'bbox'))


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    """A folder with data/cityscapes, converted as the documents say."""
    folder = tmp_path_factory.mktemp('user')
    write_cityscapes(folder / 'data', dict(train=4, val=2), '--classes', *CLASSES)
    return folder


def test_cityscapes(place, monkeypatch):
    monkeypatch.chdir(place)
    found = train(small('r50_40e_cityscapes'))
    assert {f'coco/AP_{name}' for name in CLASSES} <= found.keys() and 0 <= found['coco/segm_mAP'] <= 1
