"""Every config: its form, and one loss and one prediction of its model on small images. A new config is tested by being there."""

import ast
import copy
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from mmext_instseg.datasets.class_priority import write_class_priority
from mmext_instseg.ops import mask_boxes
from mmext_instseg.registry import MODELS
from mmext_instseg.structures import InstanceMap

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
NAMES = [path.stem for path in LEAVES]
SHAPE = (64, 96)


TOY_VITS = {
    'DINOv2ViT': dict(arch=dict(embed_dim=16, depth=4, num_heads=2), img_size=28),
    'mmpretrain.VisionTransformer': dict(
        arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32), img_size=28, out_indices=(0, 1, 2, 3)
    ),
}


def without_weights(model: ConfigDict) -> ConfigDict:
    """The model at random: no file is read for it."""
    model = copy.deepcopy(model)
    for key in ('init_cfg', 'pretrained', 'pretrained_cfg_overlay'):
        model.backbone.pop(key, None)
    return model


def as_toy(model: ConfigDict) -> ConfigDict:
    """Without weights; a ViT of four narrow blocks; a SOLOv2 as narrow as its normalisation allows, with few cells."""
    model = without_weights(model)
    if model.type == 'InstanceCLIPSeg':
        side = model.backbone.arch.patch_size if isinstance(model.backbone.arch, dict) else 16
        model.backbone.update(arch=dict(width=16, layers=10, patch_size=side, image_size=64, head_width=8), frozen=False, weights=None)
        model.text_encoder.update(arch=dict(embed_dim=8, width=16, heads=2, layers=1), frozen=False, weights=None)
        model.neck.update(in_channels=[16] * 3, condition_channels=8)
    if model.backbone.type in TOY_VITS:
        model.backbone.update(TOY_VITS[model.backbone.type])
        model.neck.update(in_channels=[16] * 4, channels=16)
        for head in model.heads.values():
            head.in_channels = 16
    if model.type == 'SOLOv2':
        factor = model.backbone.get('base_channels', 64) // 8
        model.backbone.update(base_channels=8)
        model.neck.update(in_channels=[channels // factor for channels in model.neck.in_channels], out_channels=32)
        model.mask_head.update(
            in_channels=32, feat_channels=32, stacked_convs=1, num_grids=[grid // 3 for grid in model.mask_head.num_grids]
        )
        model.mask_head.mask_feature_head.update(feat_channels=32, out_channels=32)
    return model


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


def samples(num: int, num_things: int) -> list[DetDataSample]:
    made = []
    for k in range(num):
        sample = DetDataSample(
            metainfo=dict(img_shape=SHAPE, ori_shape=(80, 120), batch_input_shape=SHAPE, img_id=k, scale_factor=(0.8, 0.8), text='a dog')
        )
        ids = torch.zeros(SHAPE, dtype=torch.int32)
        ids[8:24, 8:40], ids[30:60, 50:90] = 1, 2
        sample.gt_instance_map = InstanceMap.from_ids(ids * (k == 0), torch.tensor([0, num_things - 1]))
        masks = ids == torch.tensor([1, 2])[: 2 * (k == 0), None, None]
        sample.gt_instances = InstanceData(
            bboxes=mask_boxes(masks),
            labels=torch.tensor([0, num_things - 1])[: len(masks)],
            masks=BitmapMasks(masks.numpy().astype('uint8'), *SHAPE),
        )
        made.append(sample)
    return made


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
    assert config.default_scope == 'mmdet'
    assert config.custom_imports == dict(imports=['mmext_instseg'], allow_failed_imports=False)
    # Batches of all GPUs, or those of one of mmdet's eight
    assert config.auto_scale_lr.base_batch_size in (config.train_dataloader.batch_size, 8 * config.train_dataloader.batch_size)
    length = config.train_cfg.get('max_iters') or config.train_cfg.max_epochs
    last = config.param_scheduler[-1]
    assert last.end == length and last.by_epoch == ('max_epochs' in config.train_cfg)
    assert max(last.milestones) < length if last.type == 'MultiStepLR' else last.T_max == length
    assert '://' not in str(config.model), 'weights come from a local file'


@pytest.mark.parametrize('path', LEAVES, ids=NAMES)
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
