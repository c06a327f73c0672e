"""Depth: files, the reader, geometry in step with image, masks and stuff, packing, real pairs."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from depth_pairs import nyu_prefix, write_nyu
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import Compose
from mmseg.datasets import NYUDataset
from PIL import Image

from mmext_instseg.datasets import DepthDataset, LoadDepthMap, PackDenseInputs
from mmext_instseg.datasets.depth_files import read_depth_map
from mmext_instseg.registry import DATASETS, TRANSFORMS

TWO = np.array([[0, 1500, 3], [65535, 2, 10]], np.uint16)


def write(folder: Path, content: np.ndarray | bytes | None, name: str) -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None and path.suffix == '.npy':
        np.save(path, content)
    elif content is not None:
        assert cv2.imwrite(str(path), content)
    return path


# --- files


def test_a_png_in_millimetres_by_hand(tmp_path):
    depth = read_depth_map(write(tmp_path, TWO, 'a.png'), 0.001)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[0, 1.5, 0.003], [65.535, 0.002, 0.01]], rtol=1e-6)
    np.testing.assert_array_equal(read_depth_map(write(tmp_path, TWO.astype(np.uint8), 'b.png')), TWO.astype(np.uint8))


def test_an_array_keeps_its_values(tmp_path):
    values = np.array([[-1.0, 0.25], [3.5, 0.0]])
    assert read_depth_map(write(tmp_path, values, 'a.npy'), 2.0).tolist() == [[-2.0, 0.5], [7.0, 0.0]]


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.png', None, 'no such depth map; correct the path'),
        ('a.npy', None, 'no such depth map; correct the path'),
        ('a.png', b'', r'empty \(0 bytes\)'),
        ('a.png', b'text', 'not an image'),
        ('a.npy', b'text', 'not an NPY array of numbers'),
        ('a.npy', np.array([None]), 'not an NPY array of numbers'),
        ('a.png', np.ones((4, 5, 3), np.uint8), r'\(height, width\) of numbers, this is \(4, 5, 3\)'),
        ('a.npy', np.ones((1, 4, 5)), r'this is \(1, 4, 5\) of float64'),
        ('a.npy', np.ones((4, 5), bool), 'of bool'),
        ('a.npy', np.array([[1.0, np.nan, np.inf]]), '2 pixels are NaN or infinite; write 0 where'),
        ('a.png', np.zeros((4, 5), np.uint16), 'no pixel is above 0'),
        ('a.npy', -np.ones((4, 5)), 'no pixel is above 0'),
    ],
)
def test_unusable_files_are_named(tmp_path, name, content, message):
    path = write(tmp_path, content, name)
    with pytest.raises(ValueError, match=rf'^{re.escape(str(path))}: .*{message}'):
        read_depth_map(path)


def test_a_png_cut_off_is_named(tmp_path):
    path = write(tmp_path, np.arange(4000, dtype=np.uint16).reshape(50, 80), 'a.png')
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=r'a\.png: cut off or damaged'):
        read_depth_map(path)


# --- LoadDepthMap


def image_results(**changes) -> dict:
    return {'img': np.zeros((2, 3, 3), np.uint8), 'img_path': 'photos/a.b.jpg', **changes}


def test_the_path_comes_from_the_data_set_or_from_a_pattern(tmp_path):
    path = write(tmp_path, TWO, 'a.b.png')
    results = LoadDepthMap('metric', scale=0.001)(image_results(depth_map_path=str(path)))
    assert results['depth_kind'] == 'metric' and results['depth_scale'] == 0.001 and results['gt_depth_map'][0, 1] == pytest.approx(1.5)
    write(tmp_path, TWO / 7, 'a.b.npy')
    results = LoadDepthMap('relative', path=f'{tmp_path}/{{stem}}.npy')(image_results(depth_map_path=str(path)))
    assert results['depth_kind'] == 'relative' and results['depth_map_path'] == str(tmp_path / 'a.b.npy')
    np.testing.assert_allclose(results['gt_depth_map'], TWO / 7, rtol=1e-6)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(sample_idx=0), 'photos/a.b.jpg: the data set names no depth map; use DepthDataset'),
        (dict(img=np.zeros((3, 2, 3), np.uint8)), r'a\.png: the depth map has 2 x 3 pixels .* the image photos/a\.b\.jpg 3 x 2'),
        (dict(homography_matrix=np.eye(3)), r'a\.png: loaded after the image was resized, flipped or cropped'),
    ],
)
def test_images_without_their_depth_are_refused(tmp_path, changes, message):
    path = {} if 'sample_idx' in changes else dict(depth_map_path=str(write(tmp_path, TWO, 'a.png')))
    with pytest.raises(ValueError, match=message):
        LoadDepthMap('metric')(image_results(**path, **changes))


@pytest.mark.parametrize('path', [None, 'depth/{stem}.png'])
def test_an_image_without_any_truth_passes(path):
    for results in (image_results(), image_results(img_path=None)):
        assert set(LoadDepthMap('metric', path=path)(dict(results))) == set(results)


@pytest.mark.parametrize('key', ['instances', 'segments_info', 'sample_idx'])
def test_an_image_with_other_truth_needs_its_depth(key):
    with pytest.raises(ValueError, match='the data set names no depth map'):
        LoadDepthMap('metric')(image_results(**{key: []}))
    with pytest.raises(ValueError, match=r'depth/a\.b\.png'):
        LoadDepthMap('metric', path='depth/{stem}.png')(image_results(**{key: []}))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(kind='disparity'), "kind must be 'metric' or 'relative'"),
        (dict(kind='metric', scale=0.0), 'scale must be above 0'),
        (dict(kind='metric', path='depth/a.png'), r'path must have \{stem\}'),
    ],
)
def test_bad_arguments_of_the_loader(arguments, message):
    with pytest.raises(ValueError, match=message):
        LoadDepthMap(**arguments)


# --- geometry: everything carries the number of its pixel


def coded(height: int, width: int) -> dict:
    """Image, stuff and depth all say 1 + 64 row + column; the mask is odd columns."""
    rows, cols = np.indices((height, width))
    code = (1 + 64 * rows + cols).astype(np.float32)
    return dict(
        img=np.repeat(code[:, :, None], 3, axis=2),
        img_path='a.png',
        gt_seg_map=code.astype(np.int32),
        gt_depth_map=code / 8,
        gt_masks=BitmapMasks([(code.astype(int) % 2).astype(np.uint8)], height, width),
        gt_bboxes=HorizontalBoxes(torch.tensor([[0.0, 0, width, height]])),
        gt_bboxes_labels=np.zeros(1, np.int64),
        gt_ignore_flags=np.zeros(1, bool),
    )


def assert_in_step(results: dict) -> None:
    """Depth is exact wherever stuff and mask say that a pixel came from."""
    assert results['gt_depth_map'].dtype == np.float32 and results['gt_depth_map'].shape == results['img'].shape[:2]
    np.testing.assert_array_equal(results['gt_depth_map'] * 8, results['gt_seg_map'])
    np.testing.assert_array_equal(results['gt_seg_map'] % 2, results['gt_masks'].masks[0])
    PackDenseInputs()(results)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flips_move_depth_with_the_image(direction):
    results = TRANSFORMS.build(dict(type='DenseRandomFlip', prob=1.0, direction=direction))(coded(5, 8))
    assert_in_step(results)
    np.testing.assert_array_equal(results['gt_depth_map'] * 8, results['img'][:, :, 0])
    assert results['gt_depth_map'][0, 0] * 8 == {'horizontal': 8, 'vertical': 257, 'diagonal': 264}[direction]


@pytest.mark.parametrize('seed', range(4))
def test_crops_move_depth_with_the_image(seed):
    np.random.seed(seed)  # noqa: NPY002 (RandomCrop draws from this generator)
    crop = TRANSFORMS.build(dict(type='DenseRandomCrop', crop_size=(0.4, 0.4), crop_type='relative_range'))
    results = crop(coded(20, 30))
    assert results['img'].size < 3 * 600
    assert_in_step(results)
    np.testing.assert_array_equal(results['gt_depth_map'] * 8, results['img'][:, :, 0])


def test_a_crop_without_a_box_is_left_out_only_where_there_are_boxes():
    crop = TRANSFORMS.build(dict(type='DenseRandomCrop', crop_size=(4, 4)))
    results = coded(4, 40)
    results['gt_bboxes'] = HorizontalBoxes(torch.zeros(0, 4))
    assert crop(results) is None
    depth_only = {key: coded(4, 40)[key] for key in ('img', 'img_path', 'gt_depth_map')}
    assert crop(depth_only)['gt_depth_map'].shape == (4, 4)


@pytest.mark.parametrize('size', [(4, 3), (9, 31), (40, 26), (20, 10)])
def test_resizing_takes_depth_at_pixel_centres_and_keeps_its_values(size):
    results = TRANSFORMS.build(dict(type='AlignedResize', scale=size, keep_ratio=False))(coded(10, 20))
    assert results['img'].shape[:2] == size[::-1]
    assert_in_step(results)
    rows, cols = (((2 * np.arange(new) + 1) * old // (2 * new)) for new, old in ((size[1], 10), (size[0], 20)))
    np.testing.assert_array_equal(results['gt_depth_map'] * 8, 1 + 64 * rows[:, None] + cols)


@pytest.mark.parametrize('seed', range(6))
def test_a_whole_training_pipeline_stays_in_step(seed):
    np.random.seed(seed)  # noqa: NPY002
    pipeline = Compose(
        [
            dict(type='RandomResize', scale=(40, 30), ratio_range=(0.5, 2.0), resize_type='AlignedResize', keep_ratio=True),
            dict(type='DenseRandomCrop', crop_size=(17, 13), allow_negative_crop=True),
            dict(type='RandomChoiceResize', scales=[(20, 20), (33, 25)], resize_type='AlignedResize', keep_ratio=False),
            dict(type='DenseRandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
        ]
    )
    assert_in_step(pipeline(coded(22, 31)))


@pytest.mark.parametrize('transform', [dict(type='RandomFlip', prob=1.0), dict(type='RandomCrop', crop_size=(9, 5))])
@pytest.mark.parametrize(
    'next_one',
    [
        dict(type='PackDenseInputs'),
        dict(type='DenseRandomFlip', prob=1.0),
        dict(type='DenseRandomCrop', crop_size=(3, 3)),
        dict(type='AlignedResize', scale_factor=2.0),
    ],
    ids=lambda step: step['type'],
)
def test_depth_left_behind_is_found(transform, next_one):
    np.random.seed(0)  # noqa: NPY002 (a crop away from the corner)
    moved = Compose([dict(type='AlignedResize', scale_factor=2.0), transform])(coded(7, 9))
    moved['gt_depth_map'] = np.ones(moved['img'].shape[:2], np.float32)  # not to be seen by its size
    with pytest.raises(ValueError, match=r'a\.png: the image was resized, flipped or cropped without gt_depth_map; use AlignedResize'):
        Compose([next_one])(moved)


def test_mmdets_resize_is_found_by_the_size():
    with pytest.raises(ValueError, match=r'gt_depth_map has 5x9 pixels, the image 10x18'):
        PackDenseInputs()(Compose([dict(type='Resize', scale_factor=2.0)])(coded(5, 9)))


# --- DepthDataset and mmseg's NYUDataset

NYU_PIPELINE = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadDepthMap', kind='metric', scale=0.001),
    dict(type='AlignedResize', scale=(16, 12), keep_ratio=True),
    dict(type='DenseRandomFlip', prob=1.0),
    dict(type='PackDenseInputs'),
]


@pytest.mark.parametrize('kind', ['DepthDataset', 'mmseg.NYUDataset'])
def test_nyu_in_mmsegs_layout(tmp_path, kind):
    root = write_nyu(tmp_path)
    dataset = DATASETS.build(dict(type=kind, data_root=str(root), data_prefix=nyu_prefix(), pipeline=NYU_PIPELINE))
    assert len(dataset) == 2
    sample = dataset[1]['data_samples']
    assert sample.depth_kind == 'metric' and sample.img_path.endswith('office_0002_01.jpg')
    depth = sample.gt_depth_map.data
    assert depth.shape == (1, 12, 16) and depth.dtype == torch.float32
    # the centre of the first new pixel is (row 1, column 31) after the flip
    assert depth[0, 0, 0] == pytest.approx(2.0 + 0.01 + 0.031)
    assert 'gt_instance_map' not in sample and 'gt_sem_seg' not in sample
    assert isinstance(dataset, DepthDataset if kind == 'DepthDataset' else NYUDataset)


def test_classes_are_those_of_the_model(tmp_path):
    root = write_nyu(tmp_path, ('living', 'sub/deeper'))
    arguments = dict(type='DepthDataset', data_root=str(root), data_prefix=nyu_prefix(), pipeline=[])
    coco = DATASETS.build(dict(metainfo='CocoPanopticDataset', **arguments))
    assert len(coco.metainfo['classes']) == 133 and len(coco.metainfo['thing_classes']) == 80
    assert [coco.get_data_info(i)['depth_map_path'][-10:] for i in range(2)] == ['living.png', 'deeper.png']
    assert DATASETS.build(dict(metainfo=dict(classes=('a', 'b')), **arguments)).metainfo == {'classes': ('a', 'b')}
    assert DATASETS.build(arguments).metainfo == {}
    with pytest.raises(ValueError, match="no data set is called 'Coco'"):
        DATASETS.build(dict(metainfo='Coco', **arguments))


def test_missing_files_of_a_depth_data_set_are_named(tmp_path):
    root = write_nyu(tmp_path)
    with pytest.raises(ValueError, match=r'images/test: no image \*\.jpg'):
        DepthDataset(data_root=str(root), data_prefix=nyu_prefix('test'))
    (root / 'annotations' / 'train' / 'bedroom_0001_00.png').unlink()
    with pytest.raises(ValueError, match=r'bedroom_0001_00\.png: no such depth map, and 0 others of 2'):
        DepthDataset(data_root=str(root), data_prefix=nyu_prefix())


# --- real pairs


@pytest.mark.parametrize(
    ('pair', 'scale', 'known', 'median', 'farthest'),
    [(('TUM_color', 'TUM_depth'), 1 / 5000, 0.808, 2.415, 9.331), (('kinect2_rgb', 'kinect2_depth'), 1e-4, 0.886, 2.4525, 6.5535)],
)
def test_real_pairs(real_data, tmp_path, pair, scale, known, median, farthest):
    for name, folder in zip(pair, ('images', 'annotations'), strict=True):
        (tmp_path / folder).mkdir()
        shutil.copy(real_data / 'depth_pairs' / f'{name}.png', tmp_path / folder / 'a.png')
    pipeline = [NYU_PIPELINE[0], dict(type='LoadDepthMap', kind='metric', scale=scale), dict(type='PackDenseInputs')]
    sample = DepthDataset(data_root=str(tmp_path), img_suffix='.png', pipeline=pipeline)[0]['data_samples']
    depth, stored = sample.gt_depth_map.data[0], np.asarray(Image.open(tmp_path / 'annotations' / 'a.png'))
    assert depth.shape == sample.ori_shape == stored.shape
    torch.testing.assert_close(depth, torch.from_numpy(stored * scale).float())
    assert (depth > 0).float().mean() == pytest.approx(known, abs=1e-3)
    assert depth[depth > 0].median() == pytest.approx(median, abs=1e-3) and depth.max() == pytest.approx(farthest, abs=1e-3)


def test_pseudo_labels_beside_real_coco_images(real_data, tmp_path):
    coco = real_data / 'coco_panoptic_mini'
    generator = np.random.default_rng(0)
    for path in sorted((coco / 'val2017').glob('*.jpg'))[:3]:
        width, height = Image.open(path).size
        np.save(tmp_path / f'{path.stem}.npy', generator.random((height, width), np.float32) + 0.1)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadPanopticAnnotations'),
        dict(type='LoadDepthMap', kind='relative', path=f'{tmp_path}/{{stem}}.npy'),
        dict(type='AlignedResize', scale=(112, 112), keep_ratio=True),
        dict(type='DenseRandomFlip', prob=1.0),
        dict(type='GenerateInstanceMap', num_things=80),
        dict(type='PackDenseInputs'),
    ]
    prefix = dict(img='val2017/', seg='annotations/panoptic_val2017/')
    arguments = dict(data_root=str(coco), ann_file='annotations/panoptic_val2017.json', data_prefix=prefix, pipeline=pipeline)
    dataset = DATASETS.build(dict(type='CocoPanopticDataset', **arguments))
    have = {path.stem for path in tmp_path.iterdir()}
    rows = [i for i in range(len(dataset)) if Path(dataset.get_data_info(i)['img_path']).stem in have]
    for row in rows:
        sample = dataset[row]['data_samples']
        assert sample.depth_kind == 'relative' and sample.gt_depth_map.shape == sample.gt_instance_map.shape == sample.img_shape
    assert len(rows) == 3
    other = next(i for i in range(len(dataset)) if i not in rows)
    with pytest.raises(ValueError, match=r'\.npy: no such depth map'):
        dataset[other]
