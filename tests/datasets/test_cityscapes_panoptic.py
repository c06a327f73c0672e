"""CityscapesPanopticDataset on Shapes as Cityscapes: what it loads, and mmdet's PQ of it."""

import json
import shutil

import numpy as np
import pytest
import torch
from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic
from mmdet.evaluation import CocoPanopticMetric
from PIL import Image

from mmext_instseg.datasets import CityscapesPanopticDataset
from mmext_instseg.datasets.cityscapes.panoptic import panoptic_stem, read_panoptic
from mmext_instseg.registry import DATASETS
from mmext_instseg.structures import to_panoptic_seg

CLASSES = CityscapesPanopticDataset.METAINFO['classes']
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations'), dict(type='GenerateInstanceMap', num_things=8)]
STEM = 'shapes_000001_000000'


def build(root, folder='gtFine', **options):
    return DATASETS.build(
        dict(
            type='CityscapesPanopticDataset',
            data_root=str(root),
            ann_file=f'{folder}/cityscapes_panoptic_val.json',
            data_prefix=dict(img='leftImg8bit/val/', seg=f'{folder}/cityscapes_panoptic_val/'),
            pipeline=PIPELINE,
            test_mode=True,
            **options,
        )
    )


@pytest.fixture(params=['as exported', 'by createPanopticImgs'])
def dataset(request, cityscapes, tmp_path, capsys):
    if request.param == 'as exported':
        return build(cityscapes)
    convert2panoptic(str(cityscapes / 'gtFine'), str(tmp_path), setNames=['val'])
    return build(cityscapes, tmp_path)


@pytest.fixture
def changed(cityscapes, tmp_path):
    """A copy of gtFine's JSON and PNGs, and a function that changes the JSON."""
    shutil.copytree(cityscapes / 'gtFine' / 'cityscapes_panoptic_val', tmp_path / 'cityscapes_panoptic_val')
    path = tmp_path / 'cityscapes_panoptic_val.json'

    def change(edit):
        data = json.loads((cityscapes / 'gtFine' / path.name).read_text())
        edit(data)
        path.write_text(json.dumps(data))
        return path

    return change


def truth_as_prediction(sample, keep_things=True):
    """What a metric gets of a detector that repeats what it was given; crowds are void."""
    segment = torch.from_numpy(sample['gt_seg_map']).long()
    stuff = torch.where((segment < 8) | (segment == 255), len(CLASSES), segment)
    instances = sample['gt_instance_map']
    if not keep_things:
        instances = instances.select(torch.zeros(len(instances), dtype=torch.bool))
    seg = to_panoptic_seg(instances, stuff, len(CLASSES))
    return {**{key: sample[key] for key in ('img_id', 'img_path', 'ori_shape')}, 'pred_panoptic_seg': {'sem_seg': seg.sem_seg}}


def panoptic_quality(dataset, predictions, **options):
    metric = CocoPanopticMetric(
        ann_file=dataset.ann_file, seg_prefix=dataset.data_prefix['seg'], backend_args=dict(backend='cityscapes_panoptic'), **options
    )
    metric.dataset_meta = dataset.metainfo
    metric.process({}, predictions)
    found = metric.evaluate(len(predictions))
    return tuple(found[f'coco_panoptic/{name}'] for name in ('PQ', 'PQ_th', 'PQ_st')), metric


def test_classes_things_first(dataset):
    assert dataset.metainfo['classes'] == CLASSES
    assert CLASSES[:8] == ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
    assert (CLASSES[8], CLASSES[18], len(CLASSES)) == ('road', 'sky', 19)
    assert list(dataset.cat2label) == [24, 25, 26, 27, 28, 31, 32, 33, 7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23]
    assert list(dataset.cat2label.values()) == list(range(19))


def test_loads_the_objects_of_the_instance_ids(dataset, cityscapes):
    assert len(dataset) == 4
    crowds = 0
    for sample in map(dataset.__getitem__, range(4)):
        assert sample['img'].shape == (64, 128, 3)
        with Image.open(cityscapes / 'gtFine/val/shapes' / f'{sample["img_id"]}_gtFine_instanceIds.png') as image:
            ids = np.array(image).astype(int)
        instances = sample['gt_instance_map']
        rows = np.zeros(ids.shape, int)
        names = []
        for value in np.unique(ids[ids >= 1000]):
            names.append({24: 'person', 25: 'rider', 26: 'car', 27: 'truck', 28: 'bus'}[value // 1000])
            rows[ids == value] = len(names)
        rows[(ids >= 24) & (ids < 1000)] = -1
        crowds += (rows == -1).any()
        assert np.array_equal(instances.ids.numpy(), rows)
        assert [CLASSES[label] for label in instances.labels] == names
        for value, label in ((7, 8), (11, 10), (21, 16)):  # road, building, vegetation
            assert np.array_equal(sample['gt_seg_map'] == label, ids == value)
    assert crowds == 1


@pytest.mark.parametrize('written', [False, True])
def test_truth_has_a_quality_of_100(dataset, tmp_path, written):
    options = dict(outfile_prefix=str(tmp_path / 'results'), nproc=1) if written else {}
    predictions = [truth_as_prediction(dataset[i]) for i in range(4)]
    assert panoptic_quality(dataset, predictions, **options)[0] == (100, 100, 100)


def test_quality_falls_where_it_must(cityscapes):
    dataset = build(cityscapes)
    num_things = len({label for i in range(4) for label in dataset[i]['gt_instance_map'].labels.tolist()})
    predictions = [truth_as_prediction(dataset[i], keep_things=False) for i in range(4)]
    found, metric = panoptic_quality(dataset, predictions)
    assert found == (pytest.approx(100 * 3 / (3 + num_things)), 0, 100)
    assert [metric.categories[key]['name'] for key in metric.categories] == list(CLASSES)  # the order of the classwise table


def test_void_of_the_png_is_255(cityscapes, changed, tmp_path):
    path = changed(lambda data: None)
    png = tmp_path / 'cityscapes_panoptic_val' / f'{STEM}_gtFine_panoptic.png'
    with Image.open(png) as image:
        pixels = np.array(image)
    pixels[:5] = 0
    Image.fromarray(pixels).save(png)
    segment = build(cityscapes, path.parent)[0]['gt_seg_map']
    assert (segment[:5] == 255).all()
    assert (segment[5:] < 19).all()


@pytest.mark.parametrize('name', ['aachen_000000_000019_leftImg8bit.png', 'val/aachen/aachen_000000_000019_gtFine_leftImg8bit.png'])
def test_both_names_of_the_image(name):
    assert panoptic_stem(name) == 'aachen_000000_000019'


def rename_first(kind, name):
    return lambda data: data[kind][0].update(file_name=name)


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (rename_first('images', 'image.png'), r"json: 'image.png' is not the name of a Cityscapes image.*rename it"),
        (rename_first('images', 'a_leftImg8bit.png'), r'is not the name of a Cityscapes image'),
        (rename_first('annotations', 'x.png'), rf"json: 'x.png' belongs to image '{STEM}'; call it <stem>_gtFine_panoptic.png"),
        (lambda data: data['images'][0].pop('file_name'), r"json: no 'file_name' in an image or annotation"),
        (lambda data: data['annotations'][0].update(image_id='other'), r"json: no 'other' in an image"),
        (lambda data: data['categories'].pop(), r"'bicycle' has id None, in Cityscapes 33"),
        (lambda data: data['categories'].append(dict(id=1, name='cow')), r"'cow' has id 1, in Cityscapes None"),
        (lambda data: data.pop('images'), r"json: not a COCO file, it has no list of objects 'images'"),
    ],
)
def test_files_that_are_not_cityscapes(changed, edit, message):
    with pytest.raises(ValueError, match=message):
        read_panoptic(changed(edit))


def test_train_ids_are_refused(cityscapes, tmp_path, capsys):
    convert2panoptic(str(cityscapes / 'gtFine'), str(tmp_path), useTrainId=True, setNames=['val'])
    with pytest.raises(ValueError, match=r"_trainId.json: category 'road' has id 0, in Cityscapes 7; .* without --use-train-id"):
        read_panoptic(tmp_path / 'cityscapes_panoptic_val_trainId.json')


def test_a_missing_png_is_named(cityscapes, changed, tmp_path):
    path = changed(lambda data: None)
    (tmp_path / 'cityscapes_panoptic_val' / f'{STEM}_gtFine_panoptic.png').unlink()
    with pytest.raises(ValueError, match=rf"{STEM}_gtFine_panoptic.png: not there; set data_prefix\['seg'\]"):
        build(cityscapes, path.parent)


def test_a_missing_json_is_named(cityscapes, tmp_path):
    with pytest.raises(ValueError, match=r'cityscapes_panoptic_val.json: can not be read'):
        build(cityscapes, tmp_path)


def test_classes_and_files_are_fixed(cityscapes):
    with pytest.raises(ValueError, match=r'leave classes out of metainfo \(got 2\)'):
        build(cityscapes, metainfo=dict(classes=('car', 'road')))
    with pytest.raises(ValueError, match='leave out backend_args'):
        build(cityscapes, backend_args=dict(backend='local'))
