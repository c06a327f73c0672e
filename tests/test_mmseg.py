"""Our backbones and necks in mmseg's segmentors, the configs of configs/mmseg, and mmseg's own tools on one of them."""

import re
import subprocess
import sys
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.apis import inference_model, init_model
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from PIL import Image
from toy_models import without_weights

from mmext_instseg.datasets.shapes import SceneSpec, class_map, make_shapes_semantic

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'mmseg'
LEAVES = sorted(CONFIGS.glob('*.py'))
TOOLS = Path(mmseg.__file__).parent / '.mim' / 'tools'
SHAPE = (56, 112)  # whole patches of 14 and of 8 pixels
CLASSES = 4

DINOV2 = dict(type='DINOv2ViT', arch=dict(embed_dim=16, depth=4, num_heads=2), img_size=28)
CSPAM = dict(type='CSPAMResNet', depth=18, base_channels=8)
CLIP = dict(type='CLIPViT', arch=dict(width=16, layers=4, patch_size=8, image_size=64, head_width=8), taps=(1, 2, 3), frozen=False)
VGG = dict(type='VGGDeepLab', depth=11, extra_channels=16)
UNET = dict(type='EmbeddingUNet', base_channels=4, num_levels=3)
NORM = dict(type='BN')


def fcn(in_channels, in_index=0, **options) -> dict:
    return dict(type='FCNHead', in_channels=in_channels, in_index=in_index, channels=8, num_convs=1, norm_cfg=NORM, **options)


FPN_HEAD = dict(type='FPNHead', in_channels=[16] * 4, in_index=[0, 1, 2, 3], feature_strides=[4, 8, 16, 32], channels=8, norm_cfg=NORM)
UPER_HEAD = dict(type='UPerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], channels=8, norm_cfg=NORM)
ASPP_HEAD = dict(type='ASPPHead', in_channels=16, in_index=1, channels=8, dilations=(1, 2), norm_cfg=NORM)
SEGMENTORS = {
    'DINOv2ViT, linear': (DINOV2, None, fcn([16] * 4, [0, 1, 2, 3], input_transform='resize_concat')),
    'DINOv2ViT, ShallowDecoder': (DINOV2, dict(type='ShallowDecoder', in_channels=[16] * 4, channels=8), fcn(8)),
    'CSPAMResNet, UPerHead': (CSPAM, None, UPER_HEAD),
    'CSPAMResNet, TWFPN': (CSPAM, dict(type='TWFPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=4), FPN_HEAD),
    'CSPAMResNet, TWFPN, CSMF': (
        CSPAM,
        [
            dict(type='TWFPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=3, return_top_down=True),
            dict(type='CSMF', in_channels=16, feat_channels=8, out_channels=24, num_levels=3, norm_cfg=dict(type='GN', num_groups=4)),
        ],
        fcn(24),
    ),
    'CLIPViT': (CLIP, None, fcn(16, 2)),
    'CLIPViT, DistanceMapDecoder': (
        {**CLIP, 'out_type': 'raw'},
        dict(
            type='DistanceMapDecoder',
            in_channels=[16] * 3,
            condition_channels=None,
            channels=8,
            feedforward_channels=16,
            stage_channels=(8, 8, 8),
        ),
        fcn(8),
    ),
    'EmbeddingUNet': (UNET, None, fcn(4, 2)),
    'VGGDeepLab, ASPPHead': (VGG, None, ASPP_HEAD),
    'VGGDeepLab, DeepLabV3PlusDecoder': (
        VGG,
        dict(type='DeepLabV3PlusDecoder', in_channels=[256, 16], in_strides=[4, 16], channels=16, up_channels=(8, 8)),
        fcn(8),
    ),
}


@pytest.fixture(autouse=True)
def mmseg_scope(mmdet_scope):
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def batch(shape: tuple[int, int], num_classes: int) -> dict:
    """Two images with a class map each."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, pad_shape=shape))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, num_classes, (1, *shape), generator=generator))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *shape), dtype=torch.uint8, generator=generator) for _ in samples]
    return dict(inputs=images, data_samples=samples)


def check(model, shape: tuple[int, int]) -> None:
    """A loss that reaches every parameter, and a class map of the image's size."""
    num_classes = model.decode_head.num_classes
    data = model.data_preprocessor(batch(shape, num_classes), training=True)
    total, _ = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    model.eval()
    with torch.no_grad():
        found = model.test_step(batch(shape, num_classes))
    for sample in found:
        assert sample.pred_sem_seg.data.shape == (1, *shape) and sample.pred_sem_seg.data.max() < num_classes


@pytest.mark.parametrize('name', SEGMENTORS)
def test_a_plain_segmentor(name):
    backbone, neck, head = SEGMENTORS[name]
    shape = (64, 64) if 'CLIP' in name else SHAPE
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3, size=shape),
            backbone=backbone,
            neck=neck,
            decode_head=dict(**head, num_classes=CLASSES, align_corners=False),
            test_cfg=dict(mode='whole'),
        )
    )
    model.init_weights()
    check(model, shape)


def as_toy(model: ConfigDict) -> ConfigDict:
    """A config's model, narrow and without weights, for images of `SHAPE`."""
    model = without_weights(model)
    model.data_preprocessor.size = SHAPE
    if model.backbone.type == 'DINOv2ViT':
        model.backbone.update({**DINOV2, 'frozen_stages': min(model.backbone.frozen_stages, 4)})
        if 'neck' in model:
            model.neck.update(in_channels=[channels // 48 for channels in model.neck.in_channels])
        else:
            model.decode_head.update(in_channels=[channels // 48 for channels in model.decode_head.in_channels], channels=64)
    elif model.backbone.depth > 18:
        model.backbone.update(base_channels=8)
        model.neck.update(in_channels=[channels // 8 for channels in model.neck.in_channels])
    return model


@pytest.mark.parametrize('path', LEAVES, ids=[path.stem for path in LEAVES])
def test_config(path):
    config = Config.fromfile(path)
    assert config.default_scope == 'mmseg'
    assert config.model.decode_head.num_classes == len(DATASETS.get(config.train_dataloader.dataset.type).METAINFO['classes'])
    crops = [step.crop_size for step in config.train_dataloader.dataset.pipeline if step.type == 'RandomCrop']
    assert all(tuple(crop) == tuple(config.model.data_preprocessor.size) for crop in crops)
    torch.manual_seed(0)
    check(revert_sync_batchnorm(MODELS.build(as_toy(config.model))), SHAPE)


SHOWN = re.findall(r'```python\n(.*?)```', (CONFIGS.parents[1] / 'docs' / 'mmseg.md').read_text(), re.DOTALL)


@pytest.mark.parametrize('code', SHOWN, ids=['a head on VGG', 'two necks'])
def test_shown_in_the_documents(code):
    scope: dict = {}
    exec(code, scope)
    common = dict(type='EncoderDecoder', data_preprocessor=dict(type='SegDataPreProcessor', size=SHAPE), test_cfg=dict(mode='whole'))
    model = ConfigDict({**common, **scope['model']})
    model.data_preprocessor.size = SHAPE
    torch.manual_seed(0)
    check(MODELS.build(model), SHAPE)


def test_class_maps_of_shapes(tmp_path):
    folder = make_shapes_semantic(tmp_path, size=(32, 48), seed=3, num_images=2)
    assert make_shapes_semantic(tmp_path, size=(32, 48), seed=3, num_images=2) == folder
    spec = SceneSpec('standard', (32, 48), 3)
    scene = spec.show(1, spec.pieces(1))
    stored = np.asarray(Image.open(folder / 'annotations' / '000000000002.png'))
    np.testing.assert_array_equal(stored, class_map(scene))
    for number, label in enumerate(scene.labels, start=1):
        assert (stored[scene.ids == number] == label).all()
    assert (stored[scene.ids == 0] == scene.stuff[scene.ids == 0] + 5).all()
    np.testing.assert_array_equal(np.asarray(Image.open(folder / 'images' / '000000000002.png')), scene.image)


def run(tool: str, *arguments, folder: Path) -> str:
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_mmsegs_own_tools(tmp_path):
    """Three iterations by mmseg's train.py, its test.py, and its functions for one image."""
    config = Config.fromfile(CONFIGS / 'mmseg_tiny_shapes.py')
    for loader, seed in ((config.train_dataloader, 0), (config.val_dataloader, 1), (config.test_dataloader, 1)):
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        loader.dataset.update(data_root=str(tmp_path / 'data'), num_images=4, seed=seed)
    config.train_cfg.update(max_iters=3, val_interval=3)
    config.default_hooks.checkpoint.interval = 3
    config.dump(tmp_path / 'config.py')
    printed = run('train.py', tmp_path / 'config.py', '--work-dir', tmp_path / 'work', folder=tmp_path)
    assert 'mIoU' in printed and 'star' in printed
    checkpoint = tmp_path / 'work' / 'iter_3.pth'
    assert torch.load(checkpoint, weights_only=True)['meta']['dataset_meta']['classes'][0] == 'circle'
    printed = run('test.py', tmp_path / 'config.py', checkpoint, '--work-dir', tmp_path / 'test', folder=tmp_path)
    assert 'mIoU' in printed

    model = init_model(str(tmp_path / 'config.py'), str(checkpoint), device='cpu')
    found = inference_model(model, np.zeros((64, 96, 3), np.uint8))
    assert found.pred_sem_seg.data.shape == (1, 64, 96) and len(model.dataset_meta['classes']) == 8
