"""tools/convert_cityscapes.py on Shapes as Cityscapes, against mmdet's own converter and metric."""

import importlib.util
import json
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmdet.datasets import CityscapesDataset
from mmdet.evaluation import CityScapesMetric
from PIL import Image
from pycocotools import mask as coco_mask

from mmext_instseg.datasets.shapes import make_cityscapes

FIVE = ('car', 'person', 'truck', 'bus', 'rider')  # in the order of the SOLOv2 paper
IDS = {'person': 24, 'rider': 25, 'car': 26, 'truck': 27, 'bus': 28}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Not to be changed; five images of train, of which two have groups, and two of val."""
    root = tmp_path_factory.mktemp('cityscapes')
    make_cityscapes(root, 'train', size=(64, 128), seed=0, num_images=5)
    return make_cityscapes(root, 'val', size=(128, 256), seed=1, num_images=2)


@pytest.fixture
def converted(root, tmp_path, tool):
    """The tool on all eight classes, and on five."""
    status, text = tool('convert_cityscapes.py', root, '--out', tmp_path)
    assert status == 0, text
    status, text = tool('convert_cityscapes.py', root, '--out', tmp_path, '--classes', *FIVE)
    assert status == 0, text
    assert f'metainfo=dict(classes={FIVE})' in text
    return tmp_path


@pytest.fixture(scope='module')
def upstream():
    """mmdet's tools/dataset_converters/cityscapes.py as its wheel ships it."""
    path = Path(mmdet.__file__).parent / '.mim/tools/dataset_converters/cityscapes.py'
    spec = importlib.util.spec_from_file_location('mmdet_convert_cityscapes', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('split', ['train', 'val'])
def test_files_are_those_of_mmdets_converter(root, converted, upstream, tmp_path, split, capsys):
    files = sorted(upstream.collect_files(str(root / 'leftImg8bit' / split), str(root / 'gtFine' / split)))
    images = [upstream.load_img_info(one) for one in files]
    upstream.cvt_annotations(images, str(tmp_path / 'theirs.json'))
    theirs = json.loads((tmp_path / 'theirs.json').read_text())
    assert json.loads((converted / f'instancesonly_filtered_gtFine_{split}.json').read_text()) == theirs
    assert sum(one['iscrowd'] for one in theirs['annotations']) == {'train': 2, 'val': 1}[split]


def test_five_classes(converted, root):
    name = 'instancesonly_filtered_gtFine_train{}.json'
    data = json.loads((converted / name.format('_car-person-truck-bus-rider')).read_text())
    assert data['categories'] == [{'id': IDS[one], 'name': one} for one in FIVE]
    everything = json.loads((converted / name.format('')).read_text())
    assert data['annotations'] == everything['annotations']  # Shapes has no other class
    dataset = read_back(root, converted / name.format('_car-person-truck-bus-rider'), 'train', metainfo=dict(classes=FIVE))
    assert dataset.cat2label == {26: 0, 24: 1, 27: 2, 28: 3, 25: 4}


def test_a_subset_leaves_the_others_out(root, tool, tmp_path):
    status, text = tool('convert_cityscapes.py', root, '--out', tmp_path, '--classes', 'bus', 'car')
    assert status == 0, text
    data = json.loads((tmp_path / 'instancesonly_filtered_gtFine_val_bus-car.json').read_text())
    for number, image in enumerate(data['images']):
        with Image.open(root / 'gtFine/val' / image['file_name'].replace('leftImg8bit', 'gtFine_instanceIds')) as picture:
            ids = np.array(picture)
        labels = np.where(ids >= 1000, ids // 1000, ids)
        wanted = [value for value in np.unique(ids).tolist() if value in (26, 28) or value // 1000 in (26, 28)]
        found = [one for one in data['annotations'] if one['image_id'] == number]
        assert len(found) == len(wanted)
        for one, value in zip(found, wanted, strict=True):
            assert np.array_equal(coco_mask.decode(one['segmentation']), ids == value)
            assert one['category_id'] == labels[ids == value][0]


def test_priority_of_the_training_images(converted, root):
    counts = dict.fromkeys(IDS, 0)
    for path in root.glob('gtFine/train/*/*_instanceIds.png'):
        with Image.open(path) as picture:
            for value in np.unique(np.array(picture)):
                for name, number in IDS.items():
                    counts[name] += value // 1000 == number
    data = json.loads((converted / 'class_priority_car-person-truck-bus-rider.json').read_text())
    assert data['classes'] == list(FIVE)
    assert data['instances'] == [counts[name] for name in FIVE]
    assert data['priority'] == sorted(FIVE, key=lambda name: counts[name])
    data = json.loads((converted / 'class_priority.json').read_text())
    assert data['classes'] == [*IDS, 'train', 'motorcycle', 'bicycle']
    assert data['instances'] == [*counts.values(), 0, 0, 0]
    assert data['priority'][:3] == ['train', 'motorcycle', 'bicycle']


def read_back(root, ann_file, split, **options):
    return CityscapesDataset(ann_file=str(ann_file), data_prefix=dict(img=str(root / 'leftImg8bit' / split)), test_mode=True, **options)


def evaluate(dataset, out, keep=lambda index: True, **options):
    metric = CityScapesMetric(outfile_prefix=str(out), **options)
    metric.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        things = [one for one in info['instances'] if not one['ignore_flag']]
        things = [one for k, one in enumerate(things) if keep(k)]
        masks = torch.from_numpy(np.stack([coco_mask.decode(one['mask']) for one in things]))
        labels = torch.tensor([one['bbox_label'] for one in things])
        pred = dict(labels=labels, masks=masks, scores=torch.linspace(0.9, 0.5, len(labels)))
        metric.process({}, [dict(img_path=info['img_path'], pred_instances=pred)])
    return metric.evaluate(len(dataset))


@pytest.mark.parametrize(('suffix', 'options'), [('', {}), ('_car-person-truck-bus-rider', dict(metainfo=dict(classes=FIVE)))])
def test_truth_has_an_average_precision_of_one(converted, root, tmp_path, suffix, options):
    dataset = read_back(root, converted / f'instancesonly_filtered_gtFine_val{suffix}.json', 'val', **options)
    truths = dict(seg_prefix=str(root / 'gtFine/val'))
    found = evaluate(dataset, tmp_path / 'out', **truths)
    assert found == {'cityscapes/mAP': 1, 'cityscapes/AP@50': 1}
    assert evaluate(dataset, tmp_path / 'half', keep=lambda k: k % 2, **truths)['cityscapes/mAP'] < 0.9


def test_files_for_the_test_server(converted, root, tmp_path):
    dataset = read_back(root, converted / 'instancesonly_filtered_gtFine_val.json', 'val')
    assert not evaluate(dataset, tmp_path / 'submission', format_only=True)
    folder = tmp_path / 'submission/results'
    stems = [f'shapes_000001_{index:06d}_leftImg8bit' for index in range(2)]
    assert sorted(path.name for path in folder.glob('*.txt')) == [f'{stem}_pred.txt' for stem in stems]
    masks = []
    for stem in stems:
        lines = [line.split() for line in (folder / f'{stem}_pred.txt').read_text().splitlines()]
        masks += [name for name, _, _ in lines]
        with Image.open(root / 'gtFine/val/shapes' / f'{stem.replace("leftImg8bit", "gtFine_instanceIds")}.png') as picture:
            ids = np.array(picture)
        instances = np.unique(ids[ids >= 1000])
        assert [int(label) for _, label, _ in lines] == (instances // 1000).tolist()
        for (name, _, score), value in zip(lines, instances, strict=True):
            with Image.open(folder / name) as picture:
                assert np.array_equal(np.array(picture) != 0, ids == value)
            assert 0 < float(score) < 1
    assert sorted(masks) == sorted(path.name for path in folder.glob('*.png'))


def test_a_test_split_has_images_only(tool, tmp_path):
    make_cityscapes(tmp_path, 'test', size=(32, 40), seed=2, num_images=2)
    status, text = tool('convert_cityscapes.py', tmp_path)
    assert status == 0, text
    assert [path.name for path in (tmp_path / 'annotations').iterdir()] == ['instancesonly_filtered_gtFine_test.json']
    data = json.loads((tmp_path / 'annotations/instancesonly_filtered_gtFine_test.json').read_text())
    assert [one['file_name'] for one in data['images']] == [f'shapes/shapes_000002_{i:06d}_leftImg8bit.png' for i in range(2)]
    assert data['annotations'] == []


def test_nothing_is_overwritten(root, converted, tool):
    before = {path: path.read_bytes() for path in converted.iterdir()}
    status, _ = tool('convert_cityscapes.py', root, '--out', converted)
    assert 'gtFine_train.json is there already; move or delete it, or choose another folder with --out' in status
    assert {path: path.read_bytes() for path in converted.iterdir()} == before


def put_ids(root, array):
    path = root / 'gtFine/val/shapes/shapes_000000_000000_gtFine_instanceIds.png'
    Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda root: (root / 'gtFine/val/shapes/shapes_000000_000000_gtFine_instanceIds.png').unlink(), 'instanceIds.png'),
        (lambda root: put_ids(root, np.zeros((32, 40), np.uint8)), '1 x 8 bits a pixel, not 16'),
        (lambda root: put_ids(root, np.zeros((32, 41), np.uint16)), '32 x 41 pixels (height x width), its image has 32 x 40'),
        (lambda root: put_ids(root, np.full((32, 40), 40000, np.uint16)), 'id 40000 has no label of Cityscapes (0 to 33)'),
        (lambda root: (root / 'leftImg8bit/val/shapes/shapes_000000_000000_leftImg8bit.png').unlink(), 'unpack leftImg8bit_trainvaltest'),
        (lambda root: (root / 'leftImg8bit').rename(root / 'images'), 'no leftImg8bit/train, val or test there'),
    ],
)
def test_spoilt_folders(tool, tmp_path, spoil, message):
    make_cityscapes(tmp_path, 'val', size=(32, 40), num_images=1)
    spoil(tmp_path)
    status, _ = tool('convert_cityscapes.py', tmp_path)
    assert status.startswith('error: ')
    assert message in status
    assert str(tmp_path) in status
    assert not list(tmp_path.glob('annotations/*'))


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (['car', 'pedestrian'], "'pedestrian' is none; the thing classes of Cityscapes are person, rider"),
        (['car', 'car'], 'name each once'),
    ],
)
def test_unknown_classes(root, tool, tmp_path, classes, message):
    status, _ = tool('convert_cityscapes.py', root, '--out', tmp_path, '--classes', *classes)
    assert message in status
    assert not list(tmp_path.iterdir())


def test_help_has_an_example(tool):
    status, text = tool('convert_cityscapes.py', '--help')
    assert status == 0
    assert 'python tools/convert_cityscapes.py data/cityscapes --classes car person truck bus rider' in text
