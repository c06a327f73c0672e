"""Every config: its form, and one loss and one prediction at toy width. A new config is tested by being there."""

import ast
import copy
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmext_instseg.registry import MODELS
from mmext_instseg.structures import InstanceMap

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
NAMES = [path.stem for path in LEAVES]
SHAPE = (64, 96)


def toy(model: dict) -> dict:
    """The model, narrower where its width is a number of its own, and without weights to load."""
    model = copy.deepcopy(model)
    if model['backbone']['type'] == 'mmseg.UNet':
        ratio = model['backbone']['base_channels'] // 4
        model['backbone']['base_channels'] = 4
        for head in model['heads'].values():
            head['in_channels'] //= ratio
            head['channels'] = 8
    model['backbone'].pop('init_cfg', None)
    return model


def samples(num: int, num_things: int) -> list[DetDataSample]:
    made = []
    for k in range(num):
        sample = DetDataSample(
            metainfo=dict(img_shape=SHAPE, ori_shape=(80, 120), batch_input_shape=SHAPE, img_id=k, scale_factor=(0.8, 0.8))
        )
        ids = torch.zeros(SHAPE, dtype=torch.int32)
        ids[8:24, 8:40], ids[30:60, 50:90] = 1, 2
        sample.gt_instance_map = InstanceMap.from_ids(ids * (k == 0), torch.tensor([0, num_things - 1]))
        made.append(sample)
    return made


def test_there_are_configs():
    assert 'dcme_tiny_shapes' in NAMES and 'dcme_tiny_fruits' in NAMES


@pytest.mark.parametrize('path', LEAVES, ids=NAMES)
def test_form(path):
    assert path.stem.startswith(path.parent.name + '_')
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    assigned = {target.id for node in ast.parse(text).body if isinstance(node, ast.Assign) for target in node.targets}
    assert '_base_' in assigned, 'a leaf lists only what differs from its bases'
    stored = [node for node in ast.walk(ast.parse(text)) if isinstance(getattr(node, 'ctx', None), ast.Store)]
    assert not any(isinstance(node, ast.Subscript) for node in stored), 'no positional patching of a base'


@pytest.mark.parametrize('path', LEAVES, ids=NAMES)
def test_contract(path):
    config = Config.fromfile(path)
    assert config.default_scope == 'mmdet'
    assert config.custom_imports == dict(imports=['mmext_instseg'], allow_failed_imports=False)
    assert config.auto_scale_lr.base_batch_size == config.train_dataloader.batch_size
    assert config.train_cfg.max_iters == config.param_scheduler[-1].T_max == config.param_scheduler[-1].end


@pytest.mark.parametrize('path', LEAVES, ids=NAMES)
def test_loss_and_prediction(path):
    config = Config.fromfile(path)
    torch.manual_seed(0)
    model = MODELS.build(toy(config.model))
    num_things = model.heads['semantic'].num_things_classes
    images = [torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8) for _ in range(2)]

    batch = model.data_preprocessor(dict(inputs=images, data_samples=samples(2, num_things)), training=True)
    losses = model(**batch, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)

    model.eval()
    with torch.no_grad():
        found = model.test_step(dict(inputs=images, data_samples=samples(2, num_things)))
    for sample in found:
        pred = sample.pred_instances
        assert pred.masks.shape == (len(pred), 80, 120)
        assert pred.labels.numel() == 0 or pred.labels.max() < num_things
