import copy
import json
import pickle

import numpy as np
import pytest
import torch
from mmcv.transforms import Pad
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dataset import Compose, pseudo_collate
from mmengine.structures import PixelData
from PIL import Image
from torch.utils.data import DataLoader

from mmext_instseg.datasets.transforms import CheckAnnotations, GenerateInstanceMap, PackDenseInputs
from mmext_instseg.registry import DATASETS
from mmext_instseg.structures import InstanceMap


def rectangle(x1: float, y1: float, x2: float, y2: float) -> list[np.ndarray]:
    return [np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=float)]


def results_of(masks, crowd=None, labels=None) -> dict:
    """What a pipeline hands over after its geometric transforms."""
    num = len(masks)
    return {
        'img_path': 'folder/a.jpg',
        'img_shape': (masks.height, masks.width),
        'gt_masks': masks,
        'gt_bboxes_labels': np.arange(num) % 3 if labels is None else np.array(labels),
        'gt_ignore_flags': np.zeros(num, dtype=bool) if crowd is None else np.array(crowd, dtype=bool),
    }


def as_bitmaps(polygons: PolygonMasks) -> BitmapMasks:
    return polygons.to_bitmap() if len(polygons) else BitmapMasks([], polygons.height, polygons.width)


def three_masks() -> PolygonMasks:
    """A large object, a small one on its corner, and a crowd under both; 5 x 6 pixels."""
    return PolygonMasks([rectangle(0, 0, 4, 3), rectangle(3, 2, 5, 4), rectangle(0, 2, 6, 5)], 5, 6)


@pytest.mark.parametrize('form', [lambda masks: masks, as_bitmaps], ids=['polygons', 'bitmaps'])
@pytest.mark.parametrize(('overlap', 'corner'), [('top', 2), ('ignore', -1)])
def test_masks_become_a_map_by_hand(form, overlap, corner):
    results = GenerateInstanceMap(overlap=overlap).transform(results_of(form(three_masks()), crowd=[0, 0, 1], labels=[7, 4, 9]))
    made = results['gt_instance_map']
    expected = [
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, corner, 2, -1],
        [-1, -1, -1, 2, 2, -1],
        [-1, -1, -1, -1, -1, -1],
    ]
    assert 'gt_masks' not in results
    assert made.ids.tolist() == expected and made.ids.dtype == torch.int32 and made.ids.is_contiguous()
    assert made.labels.tolist() == [7, 4]
    assert made.lost.tolist() == [1, 0 if overlap == 'top' else 1]


@pytest.mark.parametrize('seed', range(8))
def test_both_forms_equal_the_dense_rule(seed):
    rng = np.random.default_rng(seed)
    height, width, num = rng.integers(20, 60), rng.integers(20, 60), rng.integers(0, 14)
    polygons = PolygonMasks([[rng.random(2 * rng.integers(3, 7)) * 80 - 10] for _ in range(num)], int(height), int(width))
    crowd = rng.random(num) < 0.3
    for overlap in ('top', 'ignore'):
        made = [GenerateInstanceMap(overlap).transform(results_of(m, crowd))['gt_instance_map'] for m in (polygons, as_bitmaps(polygons))]
        masks = torch.from_numpy(as_bitmaps(polygons).masks.astype(bool))
        dense = InstanceMap.from_masks(masks[~crowd], torch.arange(num)[~crowd] % 3, masks[crowd].any(dim=0), overlap).compact()
        for one in made:
            assert torch.equal(one.ids, dense.ids) and torch.equal(one.labels, dense.labels) and torch.equal(one.lost, dense.lost)
            assert torch.equal(one.areas, dense.areas) and torch.equal(one.boxes, dense.boxes)


@pytest.mark.parametrize('num', [0, 1, 513, 2000])
def test_any_number_of_instances(num):
    # One pixel each, at odd sizes: instance i stands at column i % 67 of row i // 67.
    polygons = PolygonMasks([rectangle(i % 67, i // 67, i % 67 + 1, i // 67 + 1) for i in range(num)], 31, 67)
    expected = torch.arange(1, 31 * 67 + 1).view(31, 67)
    for masks in (polygons, as_bitmaps(polygons)):
        made = GenerateInstanceMap().transform(results_of(masks))['gt_instance_map']
        assert len(made) == num and torch.equal(made.ids, torch.where(expected <= num, expected, 0).int())


def test_hidden_and_small_instances_lose_their_row():
    # 1 is hidden under the smaller 2 and 3 together; 4 lies outside; 5 has one pixel.
    parts = [rectangle(0, 0, 4, 1), rectangle(0, 0, 2, 1), rectangle(2, 0, 4, 1), rectangle(9, 9, 12, 12), rectangle(5, 2, 6, 3)]
    masks = PolygonMasks(parts, 3, 6)
    made = GenerateInstanceMap().transform(results_of(masks, labels=[10, 20, 30, 40, 50]))['gt_instance_map']
    assert made.labels.tolist() == [20, 30, 50] and made.ids[0].tolist() == [1, 1, 2, 2, 0, 0] and made.ids[2, 5] == 3
    made = GenerateInstanceMap(min_area=2).transform(results_of(masks, labels=[10, 20, 30, 40, 50]))['gt_instance_map']
    assert made.labels.tolist() == [20, 30] and made.ids[2].tolist() == [0, 0, 0, 0, 0, -1]


def test_thing_pixels_without_an_instance_are_ignored_in_panoptic_data():
    # Classes 0 and 1 are things, 2 is stuff. A crowd of class 1 fills the last column; LoadPanopticAnnotations makes no instance of it.
    results = results_of(as_bitmaps(PolygonMasks([rectangle(0, 0, 1, 2)], 2, 4)))
    results.update(gt_seg_map=np.array([[0, 2, 255, 1], [0, 2, 2, 1]]), segments_info=[])
    made = GenerateInstanceMap(num_things=2).transform(copy.deepcopy(results))['gt_instance_map']
    assert made.ids.tolist() == [[1, 0, 0, -1], [1, 0, 0, -1]]
    with pytest.raises(ValueError, match=r'folder/a\.jpg: panoptic annotations need GenerateInstanceMap\(num_things'):
        GenerateInstanceMap().transform(results)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'gt_masks': None}, 'gt_masks is NoneType'),
        ({'img_shape': (9, 9)}, r'5 x 6 pixels, the image 9 x 9; load the annotations before Resize'),
        ({'gt_seg_map': np.zeros((3, 6))}, r'5 x 6 pixels, the gt_seg_map 3 x 6'),
        ({'gt_bboxes_labels': np.zeros(2, dtype=int)}, '3 masks, 2 labels, 3 ignore flags'),
        ({'instances': [{'mask': {'size': [5, 6], 'counts': [30]}}]}, 'instance 0 is an RLE.*poly2mask=True'),
        ({'instances': [{'mask': [[1, 1, 3, 3]], 'bbox': [1, 1, 3, 3]}]}, r'instance 0 \(label None, box \[1, 1, 3, 3\]\): .* 4 numbers'),
        ({'instances': [{'mask': [], 'bbox_label': 2}]}, r'instance 0 \(label 2, .*: no polygon'),
        ({'instances': [{'bbox': [1, 1, 3, 3]}]}, 'a box without a mask; remove the annotation or give it'),
        ({'height': 6, 'width': 5}, r'image has 5 x 6 pixels .* annotation file says 6 x 5'),
    ],
)
def test_unusable_annotations_are_refused_with_the_path(change, message):
    results = {**results_of(three_masks()), 'ori_shape': (5, 6), **change}
    with pytest.raises(ValueError, match=rf'(?s)^folder/a\.jpg: .*{message}'):
        GenerateInstanceMap().transform(results)


@pytest.mark.parametrize(('key', 'cure'), [('gt_masks', 'with_mask=True'), ('gt_bboxes_labels', 'with_label=True')])
def test_missing_keys_are_named_with_the_way_out(key, cure):
    results = results_of(three_masks()) | dict(instances=[])
    del results[key]
    with pytest.raises(ValueError, match=f'no {key}; load the annotations with {cure}'):
        GenerateInstanceMap().transform(results)
    with pytest.raises(ValueError, match="overlap must be 'top' or 'ignore'"):
        GenerateInstanceMap(overlap='both')


@pytest.mark.parametrize('promised', ['sample_idx', 'instances', 'segments_info', 'seg_map_path', 'depth_map_path'])
def test_only_an_image_without_any_truth_passes_without_masks(promised):
    bare = {'img_path': None, 'img_shape': (5, 6), 'ori_shape': (5, 6), 'gt_bboxes_labels': np.zeros(0, int), 'seg_map_path': None}
    assert GenerateInstanceMap(num_things=2).transform(dict(bare)) == bare
    with pytest.raises(ValueError, match='no gt_masks'):
        GenerateInstanceMap(num_things=2).transform({**bare, promised: []})


def test_check_annotations_stops_what_load_annotations_crashes_on():
    instance = {'bbox': [0, 0, 4, 4], 'bbox_label': 0, 'ignore_flag': 0, 'mask': [[0, 0, float('nan'), 0, 4, 4]]}
    pipeline = Compose([CheckAnnotations(), LoadAnnotations(with_mask=True)])
    with pytest.raises(ValueError, match=r'a\.jpg: instance 0 .*coordinate nan'):
        pipeline({'img_path': 'a.jpg', 'ori_shape': (5, 6), 'instances': [instance]})
    instance['mask'] = [[0, 0, 4, 0, 4, 4]]
    assert len(pipeline({'img_path': 'a.jpg', 'ori_shape': (5, 6), 'instances': [instance]})['gt_masks']) == 1


# --- packing


def packed(**results) -> DetDataSample:
    return PackDenseInputs().transform({'img': np.zeros((5, 6, 3), dtype=np.uint8), 'img_path': 'a.jpg', **results})['data_samples']


def full_sample() -> DetDataSample:
    results = GenerateInstanceMap().transform(results_of(three_masks(), crowd=[0, 0, 1]))
    results.update(gt_seg_map=np.full((5, 6), 3, dtype=np.uint8), gt_depth_map=np.full((5, 6), 1.5, dtype=np.float64))
    return packed(**results)


def test_pack_everything():
    img = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
    made = PackDenseInputs().transform({'img': img, 'img_id': 4, 'ori_shape': (10, 12), 'flip': True, 'text': ('cat',), 'other': 1})
    assert made['inputs'].dtype == torch.uint8 and torch.equal(made['inputs'], torch.from_numpy(img).permute(2, 0, 1))
    sample = made['data_samples']
    assert sample.metainfo == {'img_id': 4, 'ori_shape': (10, 12), 'flip': True, 'text': ('cat',)} and sample.text == ('cat',)
    assert 'gt_instance_map' not in sample and 'gt_sem_seg' not in sample and 'gt_depth_map' not in sample
    sample = full_sample()
    assert len(sample.gt_instance_map) == 2 and 'masks' not in sample.gt_instances and sample.gt_instances.labels.tolist() == [0, 1]
    assert sample.gt_sem_seg.sem_seg.shape == (1, 5, 6)
    assert sample.gt_depth_map.data.shape == (1, 5, 6) and sample.gt_depth_map.data.dtype == torch.float32


def test_pack_refuses_an_image_that_pad_has_enlarged():
    results = Pad(size=(8, 8))(dict(img=np.zeros((4, 6, 3), np.uint8), img_path='a.png'))
    with pytest.raises(ValueError, match=r'a\.png: leave Pad out of the pipeline'):
        PackDenseInputs()(results)


@pytest.mark.parametrize('key', ['gt_seg_map', 'gt_depth_map'])
def test_pack_refuses_targets_of_another_size(key):
    with pytest.raises(ValueError, match=rf'a\.jpg: {key} has 5x7 pixels, the image 5x6; load annotations before Resize'):
        packed(**{key: np.zeros((5, 7))})


@pytest.mark.parametrize(
    'copied',
    [
        lambda sample: sample.new(),
        lambda sample: sample.clone(),
        lambda sample: sample.to('cpu', non_blocking=True),
        lambda sample: sample.to(torch.float16),
        lambda sample: sample.cpu(),
        lambda sample: pickle.loads(pickle.dumps(sample)),
        lambda sample: pseudo_collate([sample])[0],
        lambda sample: copy.deepcopy(sample),
    ],
    ids=['new', 'clone', 'to', 'half', 'cpu', 'pickle', 'collate', 'deepcopy'],
)
def test_the_map_survives_in_the_data_sample(copied):
    sample = full_sample()
    made = copied(sample)
    assert type(made.gt_instance_map) is InstanceMap and isinstance(made.gt_depth_map, PixelData)
    assert torch.equal(made.gt_instance_map.ids, sample.gt_instance_map.ids) and made.gt_instance_map.centroids.dtype == torch.float32
    assert torch.equal(made.gt_instance_map.lost, sample.gt_instance_map.lost)


# --- whole pipelines on real data


def coco_dataset(root, folder: str, ann_file: str, images: str, pipeline: list, classes, **kwargs):
    return DATASETS.build(
        {
            'type': 'CocoDataset',
            'data_root': str(root / folder),
            'ann_file': ann_file,
            'data_prefix': {'img': images},
            'pipeline': pipeline,
            'metainfo': {'classes': classes},
            **kwargs,
        }
    )


def train_pipeline(poly2mask: bool, *last) -> list:
    return [
        {'type': 'LoadImageFromFile', 'backend_args': {'backend': 'checked_images'}},
        {'type': 'CheckAnnotations'},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True, 'poly2mask': poly2mask},
        {'type': 'Resize', 'scale': (203, 151), 'keep_ratio': True},
        {'type': 'RandomCrop', 'crop_size': (97, 111), 'allow_negative_crop': True},
        {'type': 'RandomFlip', 'prob': 1.0},
        *last,
    ]


@pytest.mark.parametrize('poly2mask', [True, False])
def test_real_polygons_through_mmdets_transforms(real_data, poly2mask):
    args = real_data, 'fruits_nuts', 'trainval.json', 'images/'
    dataset = coco_dataset(*args, train_pipeline(poly2mask), ('date', 'fig', 'hazelnut'))
    seen = 0
    for index in range(6):
        np.random.seed(index)  # noqa: NPY002 (RandomCrop draws from this generator)
        results = dataset[index]
        masks = torch.from_numpy(as_bitmaps(results['gt_masks']).masks if not poly2mask else results['gt_masks'].masks).bool()
        expected = InstanceMap.from_masks(masks, torch.from_numpy(results['gt_bboxes_labels'])).compact()
        made = GenerateInstanceMap().transform(results)['gt_instance_map']
        assert made.shape == results['img_shape'] == results['img'].shape[:2]
        assert torch.equal(made.ids, expected.ids) and torch.equal(made.labels, expected.labels)
        seen += len(made)
    assert seen > 20


def test_real_batches_from_workers(real_data):
    args = real_data, 'coco_panoptic_mini', 'annotations/instances_val2017.json', 'val2017/'
    classes = [c['name'] for c in json.loads((real_data / args[1] / args[2]).read_text())['categories']]
    dataset = coco_dataset(*args, train_pipeline(True, {'type': 'GenerateInstanceMap'}, {'type': 'PackDenseInputs'}), classes)
    batches = list(DataLoader(dataset, batch_size=9, num_workers=2, collate_fn=pseudo_collate))
    samples = [sample for batch in batches for sample in batch['data_samples']]
    assert len(samples) == len(dataset) == 27
    assert sum(len(sample.gt_instance_map) for sample in samples) > 60
    for sample in samples:
        instances = sample.gt_instance_map
        assert sample.img_shape == instances.shape
        assert instances.ids.min() >= -1 and instances.ids.max() == len(instances) and (instances.areas > 0).all()


def test_real_panoptic_annotations(real_data):
    folder = real_data / 'coco_panoptic_mini'
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadPanopticAnnotations'},
        {'type': 'GenerateInstanceMap', 'num_things': 80},
        {'type': 'PackDenseInputs'},
    ]
    dataset = DATASETS.build(
        {
            'type': 'CocoPanopticDataset',
            'data_root': str(folder),
            'ann_file': 'annotations/panoptic_val2017.json',
            'data_prefix': {'img': 'val2017/', 'seg': 'annotations/panoptic_val2017/'},
            'pipeline': pipeline,
        }
    )
    truth = json.loads((folder / 'annotations/panoptic_val2017.json').read_text())
    things = {c['id'] for c in truth['categories'] if c['isthing']}
    segments = {one['image_id']: one for one in truth['annotations']}
    crowds = 0
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        made, info = sample.gt_instance_map, segments[sample.img_id]
        png = np.array(Image.open(folder / 'annotations/panoptic_val2017' / info['file_name'])).astype(np.int64)
        png = torch.from_numpy(png[..., 0] + 256 * png[..., 1] + 256**2 * png[..., 2])
        expected = [s for s in info['segments_info'] if s['category_id'] in things and not s['iscrowd']]
        assert len(made) == len(expected)
        for row, segment in enumerate(expected):
            assert torch.equal(made.ids == row + 1, png == segment['id'])
        crowd = [s['id'] for s in info['segments_info'] if s['category_id'] in things and s['iscrowd']]
        assert torch.equal(made.ids == -1, torch.isin(png, torch.tensor(crowd, dtype=torch.int64)))
        crowds += len(crowd)
        labels = sample.gt_sem_seg.sem_seg[0]
        assert ((labels < 80) == (made.ids != 0)).all()
    assert crowds > 0
