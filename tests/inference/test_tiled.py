"""Real detectors, tile by tile."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from mmext_instseg.inference import TiledInferencer, array_pipeline, read_image
from mmext_instseg.ops import joint_histogram
from mmext_instseg.registry import MODELS

ROOT = Path(__file__).parents[2]
RADIUS = 2


@MODELS.register_module()
class SmallBlur(nn.Module):
    """A mean over 5 x 5 pixels, zeros beyond the border: a receptive field with a radius of 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 2 * RADIUS + 1, padding=RADIUS, groups=3, bias=False)

    def forward(self, images):
        return (self.conv(images),)


# Nothing of the annotations that the pipeline loads and checks is there.
CONFIG = """
default_scope = 'mmdet'
custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)
codec = dict(type='EmbeddingCodec', dims=3)
model = dict(
    type='BottomUpSegmentor',
    data_preprocessor=dict(type='DenseDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255], pad_size_divisor=8),
    backbone=dict(type='SmallBlur'),
    codec=codec,
    heads=dict(instance=dict(type='EmbeddingHead', in_channels=3)),
    test_cfg=dict(foreground_threshold=None),
)
pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
test_dataloader = dict(dataset=dict(type='CocoDataset', ann_file='none.json', metainfo=dict(classes=('house',)), pipeline=pipeline))
"""


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """(config, checkpoint) of a segmentor whose embedding of a pixel is its blurred colour."""
    folder = tmp_path_factory.mktemp('blur')
    (folder / 'blur.py').write_text(CONFIG)
    model = MODELS.build(Config.fromfile(folder / 'blur.py').model)
    with torch.no_grad():
        model.backbone.conv.weight.fill_(1 / 25)
        model.heads['instance'].project.weight.copy_(16 * torch.eye(3)[:, :, None, None])  # steps of a blurred rim, 16 / 25, exceed eps
        model.heads['instance'].project.bias.zero_()
    torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': {'classes': ('house',)}}}, folder / 'blur.pth')
    return folder / 'blur.py', folder / 'blur.pth'


def picture(height: int = 120, width: int = 150) -> np.ndarray:
    """Turned houses in colours of their own on black, some over several tiles."""
    image = np.zeros((height, width, 3), np.uint8)
    houses = [
        ((40, 34), (44, 20), 20),
        ((100, 60), (60, 16), 100),
        ((40, 90), (70, 22), 5),
        ((132, 40), (14, 50), 0),
        ((130, 100), (20, 20), 45),
    ]
    for number, house in enumerate(houses, 1):
        colour = [255 * (number >> bit & 1) for bit in range(3)]
        cv2.fillPoly(image, [cv2.boxPoints(house).round().astype(np.int32)], colour)
    return image


def test_tiles_against_the_whole_image(files):
    """The houses and the ground are one object in both. At overlaps of 8, 24 and 40, 98.7, 98.5 and 98.4 % of all pixels match.

    The others lie on blurred rims, which DBSCAN splits by samples and parameters that it adapts to the tile or to the image.
    """
    image = picture()
    inferencer = TiledInferencer(*files, tile=(64, 64), overlap=24, device='cpu', batch_size=2)
    tiled = inferencer(image, progress=False)
    whole = inferencer.predict_tiles([image])[0]
    assert inferencer.classes == ('house',) and tiled.shape == image.shape[:2]
    flat = cv2.dilate(image, np.ones((5, 5))).astype(int) == cv2.erode(image, np.ones((5, 5)))
    flat = torch.from_numpy(flat.all(axis=2))
    counts = joint_histogram(whole.ids[flat], tiled.ids[flat], len(whole) + 1, len(tiled) + 1)
    assert (counts > 0).sum() == 6, 'five houses and the ground, each one object in both'
    assert (whole.ids[flat] > 0).all() and (tiled.ids[flat] > 0).all()
    counts = joint_histogram(whole.ids.flatten(), tiled.ids.flatten(), len(whole) + 1, len(tiled) + 1)
    assert counts.amax(dim=1).sum() > 0.985 * image.shape[0] * image.shape[1]


@torch.no_grad()
def test_maps_are_equal_beyond_the_reach_of_padding(files):
    """The reason for differences: padding changes what lies within the receptive field's radius of a tile's border, and nothing else."""
    inferencer = TiledInferencer(*files, tile=(64, 64), overlap=24, device='cpu')

    def embedding(image):
        data = inferencer.model.data_preprocessor(pseudo_collate([inferencer.pipeline(dict(img=image, img_id=0))]), False)
        return inferencer.model.predict_maps(data['inputs'])['embedding'][0, :, : image.shape[0], : image.shape[1]]

    image = picture()
    whole, tile = embedding(image)[:, 40:104, 40:104], embedding(image[40:104, 40:104].copy())
    inner = slice(RADIUS, -RADIUS)
    assert torch.allclose(whole[:, inner, inner], tile[:, inner, inner], atol=1e-5)
    assert (whole - tile).abs().amax(dim=(0, 2))[[0, 1, -2, -1]].amin() > 0.1


def test_files_arrays_and_small_images(files, tmp_path, capsys):
    image = picture(50, 60)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert np.array_equal(read_image(tmp_path / 'a.png'), image)
    inferencer = TiledInferencer(Config.fromfile(files[0]), files[1], tile=(64, 64), overlap=24, device='cpu')
    found = inferencer(tmp_path / 'a.png')
    assert '1 tiles' in capsys.readouterr().err
    mapped = np.memmap(tmp_path / 'a.raw', np.uint8, 'w+', shape=image.shape)
    mapped[:] = image
    assert torch.equal(found.ids, inferencer(mapped, progress=False).ids) and found.shape == (50, 60)
    assert capsys.readouterr().err == ''


def test_no_more_than_a_batch_of_tiles_at_once(files, monkeypatch):
    inferencer = TiledInferencer(*files, tile=(64, 64), overlap=24, batch_size=4, device='cpu')
    sizes = []
    monkeypatch.setattr(inferencer.model, 'test_step', lambda data: sizes.append(len(data['inputs'])) or model_step(data))
    model_step = type(inferencer.model).test_step.__get__(inferencer.model)
    inferencer(picture(), progress=False)
    assert sizes == [4, 4, 4]  # 3 x 4 tiles


def test_the_score_threshold(files):
    inferencer = TiledInferencer(*files, tile=(64, 64), overlap=24, score_threshold=1.1, device='cpu')
    assert len(inferencer(picture(), progress=False)) == 0


OTHERS = {
    'solov2': """
_base_ = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py'
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    mask_head=dict(num_classes=2, in_channels=32, feat_channels=32, stacked_convs=1, num_grids=[6, 4, 3, 2, 2],
                   mask_feature_head=dict(feat_channels=32, out_channels=32)),
    test_cfg=dict(score_thr=0.0, filter_thr=0.0, max_per_img=20),
)
""",
    'retinanet': """
_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
model = dict(
    backbone=dict(base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    bbox_head=dict(num_classes=2, in_channels=32, feat_channels=32, stacked_convs=1),
)
""",
}


@pytest.fixture
def other(tmp_path):
    """Makes (config, checkpoint) of a detector of mmdet's own, untrained."""

    def make(name):
        (tmp_path / f'{name}.py').write_text(OTHERS[name])
        cfg = Config.fromfile(tmp_path / f'{name}.py')
        for step in cfg.test_dataloader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (64, 64)
        cfg.dump(tmp_path / f'{name}_small.py')
        state = MODELS.build(cfg.model).state_dict()
        torch.save({'state_dict': state, 'meta': {'dataset_meta': {'classes': ('a', 'b')}}}, tmp_path / f'{name}.pth')
        return tmp_path / f'{name}_small.py', tmp_path / f'{name}.pth'

    return make


def test_a_detector_of_mmdet(other):
    inferencer = TiledInferencer(*other('solov2'), tile=(64, 64), overlap=16, score_threshold=0.0, device='cpu')
    found = inferencer(picture(64, 100), progress=False)
    assert found.shape == (64, 100) and len(found) > 0 and set(found.labels.tolist()) <= {0, 1}


def test_a_model_without_masks(other):
    inferencer = TiledInferencer(*other('retinanet'), tile=(64, 64), overlap=16, device='cpu')
    with pytest.raises(ValueError, match=r'retinanet_small\.py: a RetinaNet gives no instance masks'):
        inferencer(picture(64, 64), progress=False)


@pytest.mark.parametrize(
    'name', ['dcme/dcme_tiny_shapes.py', 'pe_centroid/pe_centroid_vitb-depth_stage3_test-nyu.py', 'aml_solov2/aml_solov2_r50_1x_coco.py']
)
def test_pipelines_of_our_configs_need_no_annotations(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    before = cfg.pretty_text
    packed = array_pipeline(cfg)(dict(img=picture(), img_id=0))
    assert packed['inputs'].shape[0] == 3 and tuple(packed['data_samples'].ori_shape) == (120, 150)
    assert cfg.pretty_text == before


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(checkpoint='none.pth'), r'none\.pth is not a file; give the weights'),
        (dict(overlap=64), 'an overlap of 64 pixels does not fit tiles of 64; it must be from 2 to 63'),
        (dict(tile=(64, 0)), 'does not fit tiles of 0'),
        (dict(batch_size=0), 'batch_size=0 must be at least 1'),
        (dict(agreement=0.4), r'agreement=0\.4 at least 0\.5'),
    ],
)
def test_arguments_that_can_not_be(files, changes, message):
    config, checkpoint = files
    with pytest.raises(ValueError, match=message):
        TiledInferencer(**{**dict(config=config, checkpoint=checkpoint, tile=(64, 64), overlap=16, device='cpu'), **changes})


def test_images_that_can_not_be(files, tmp_path):
    inferencer = TiledInferencer(*files, tile=(64, 64), overlap=16, device='cpu')
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'text.png').write_text('no image')
    whole = cv2.imencode('.png', picture())[1].tobytes()
    (tmp_path / 'cut.png').write_bytes(whole[: len(whole) // 2])
    for image, message in (
        (tmp_path / 'none.png', r'none\.png is not a file'),
        (tmp_path / 'empty.png', r'empty\.png: '),
        (tmp_path / 'text.png', r'text\.png: not an image'),
        (tmp_path / 'cut.png', r'cut\.png: not an image, or cut off'),
        (np.zeros((8, 8), np.uint8), r'not \(8, 8\) uint8'),
        (np.zeros((8, 8, 3), np.float32), r'not \(8, 8, 3\) float32'),
        (np.zeros((0, 8, 3), np.uint8), 'the image has 0 pixels'),
    ):
        with pytest.raises(ValueError, match=message):
            inferencer(image, progress=False)
