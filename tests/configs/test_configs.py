"""Every config: its form, and one loss and one prediction of its model on small images. A new config is tested by being there."""

import ast
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from toy_models import SHAPE, as_toy, samples

from mmext_instseg.datasets.class_priority import write_class_priority
from mmext_instseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
NAMES = [path.stem for path in LEAVES]
DETECTORS = [path for path in LEAVES if path.parent.name != 'mmseg']  # losses and predictions of the others: tests/test_mmseg.py


def shrink_data(config: Config, scale: tuple[int, int], batch_size: int) -> None:
    """Small batches without workers, of images resized and cropped to (width, height)."""
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=batch_size)
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            for step in dataset.pipeline:
                if step.type == 'RandomChoiceResize':
                    step.scales = [scale, (scale[0], scale[1] * 2 // 3)]
                elif step.type.endswith('Resize'):
                    step.scale = scale
                elif step.type == 'DenseRandomCrop':
                    step.crop_size = scale[::-1]


def class_names(dataset: ConfigDict) -> tuple[str, ...]:
    """The classes of a data set, of several together those of the first, without its files."""
    if dataset.type == 'ConcatDataset':
        dataset = dataset.datasets[0]
    return tuple(dataset.get('metainfo', DATASETS.get(dataset.type).METAINFO)['classes'])


def test_there_are_configs():
    assert {f'{method}_tiny_{data}' for method in ('aml_solov2', 'dcme') for data in ('shapes', 'fruits')} <= set(NAMES)
    assert 'pe_centroid_tiny_shapes' in NAMES


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
    assert config.default_scope == ('mmdet' if path in DETECTORS else 'mmseg')
    assert config.custom_imports == dict(imports=['mmext_instseg'], allow_failed_imports=False)
    # Batches of all GPUs, or those of one of mmdet's eight
    assert config.auto_scale_lr.base_batch_size in (config.train_dataloader.batch_size, 8 * config.train_dataloader.batch_size)
    length = config.train_cfg.get('max_iters') or config.train_cfg.max_epochs
    last = config.param_scheduler[-1]
    assert last.end == length and last.by_epoch == ('max_epochs' in config.train_cfg)
    assert max(last.milestones) < length if last.type == 'MultiStepLR' else last.get('T_max', length) == length
    assert '://' not in str(config.model), 'weights come from a local file'


@pytest.mark.parametrize('path', DETECTORS, ids=[path.stem for path in DETECTORS])
def test_loss_and_prediction(path, tmp_path):
    config = Config.fromfile(path)
    torch.manual_seed(0)
    names = class_names(config.train_dataloader.dataset)
    semantic = config.model.get('heads', {}).get('semantic', {})
    if isinstance(semantic.get('priority'), str):
        semantic.priority = str(tmp_path / 'class_priority.json')
        write_class_priority(semantic.priority, dict.fromkeys(names[: semantic.num_things_classes], 1))
    model = MODELS.build(as_toy(config.model))
    if hasattr(model, 'roi_head'):
        heads = dict(semantic=model.roi_head.mask_head)
    else:
        heads = model.heads if hasattr(model, 'heads') else dict(semantic=model.mask_head)
    num_things = 2
    if 'semantic' in heads:
        head = heads['semantic']
        assert head.num_classes == len(names)
        num_things = getattr(head, 'num_things_classes', head.num_classes)
        if hasattr(head, 'load_priority'):
            head.load_priority(names)
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
        assert pred.masks.shape == (len(pred), 80, 120) and pred.masks.dtype == torch.bool
        assert pred.labels.numel() == 0 or pred.labels.max() < num_things
        assert 'pred_depth_map' not in sample or sample.pred_depth_map.data.shape == (1, 80, 120)
