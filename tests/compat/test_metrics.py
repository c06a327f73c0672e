"""The metrics of mmdet and mmseg that fail in a current environment without our cures, from files to figures."""

import importlib
import inspect
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoPanopticDataset
from mmdet.evaluation import CityScapesMetric, CocoPanopticMetric, LVISMetric
from mmseg.evaluation import DepthMetric
from mmseg.registry import METRICS
from pycocotools import mask as coco_mask

from mmext_instseg.compat import libraries
from mmext_instseg.structures import InstanceMap, to_panoptic_seg

PANOPTIC = CocoPanopticDataset.METAINFO
FIGURES = ('PQ', 'SQ', 'RQ', 'PQ_th', 'SQ_th', 'RQ_th', 'PQ_st', 'SQ_st', 'RQ_st')


# CocoPanopticMetric, LoadPanopticAnnotations


def as_prediction(loaded: dict) -> dict:
    """What a metric gets of a detector that repeats the annotation as LoadPanopticAnnotations read it; crowds are left void."""
    num_things, num_classes = len(PANOPTIC['thing_classes']), len(PANOPTIC['classes'])
    labels = torch.from_numpy(loaded['gt_bboxes_labels'])
    masks = torch.from_numpy(loaded['gt_masks'].masks).bool()
    segment = torch.from_numpy(loaded['gt_seg_map']).long()
    stuff = torch.where((segment < num_things) | (segment == 255), num_classes, segment)
    seg = to_panoptic_seg(InstanceMap.from_masks(masks, labels), stuff, num_classes)
    keys = ('img_id', 'img_path', 'ori_shape', 'seg_map_path', 'segments_info')
    info = dict(image_id=loaded['img_id'], height=loaded['ori_shape'][0], width=loaded['ori_shape'][1])
    return dict(**{key: loaded[key] for key in keys}, **info, pred_panoptic_seg=dict(sem_seg=seg.sem_seg))


@pytest.fixture
def coco(real_data) -> Path:
    return real_data / 'coco_panoptic_mini'


@pytest.fixture
def predictions(coco) -> list[dict]:
    """The annotations of all 27 real validation images, as predictions."""
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations')]
    prefix = dict(img='val2017/', seg='annotations/panoptic_val2017/')
    dataset = CocoPanopticDataset(
        data_root=str(coco), ann_file='annotations/panoptic_val2017.json', data_prefix=prefix, pipeline=pipeline, test_mode=True
    )
    return [as_prediction(dataset[i]) for i in range(len(dataset))]


@pytest.fixture
def panoptic_metric(coco) -> Callable[..., CocoPanopticMetric]:
    """The metric on the real annotations."""

    def build(ann_file: str | None = str(coco / 'annotations' / 'panoptic_val2017.json'), **options) -> CocoPanopticMetric:
        metric = CocoPanopticMetric(ann_file=ann_file, seg_prefix=str(coco / 'annotations' / 'panoptic_val2017'), **options)
        metric.dataset_meta = PANOPTIC
        return metric

    return build


def panoptic_figures(metric: CocoPanopticMetric, samples: list[dict]) -> list[float]:
    metric.process({}, samples)
    found = metric.evaluate(len(samples))
    return [found[f'coco_panoptic/{name}'] for name in FIGURES]


@pytest.mark.parametrize('annotation', ['file', 'samples'])
@pytest.mark.parametrize('counted', ['image by image', 'at the end'])
def test_truth_as_prediction_has_a_panoptic_quality_of_exactly_100(panoptic_metric, predictions, tmp_path, annotation, counted):
    options = {} if annotation == 'file' else dict(ann_file=None)
    if counted == 'at the end':  # in two processes
        options.update(outfile_prefix=str(tmp_path / 'results'), nproc=2)
    assert len(predictions) == 27
    assert panoptic_figures(panoptic_metric(**options), predictions) == [100.0] * len(FIGURES)


def test_void_as_prediction_has_a_panoptic_quality_of_0(panoptic_metric, predictions):
    for sample in predictions:
        sample['pred_panoptic_seg']['sem_seg'].fill_(len(PANOPTIC['classes']))
    assert panoptic_figures(panoptic_metric(), predictions) == [0.0] * len(FIGURES)


def test_one_missed_object_costs_its_share(panoptic_metric, predictions):
    """RQ of a class with n objects of which one is missed is (n - 1) / (n - 1/2); it is averaged over the classes that occur."""
    sem_seg = predictions[0]['pred_panoptic_seg']['sem_seg']
    missed = int(sem_seg[sem_seg >= 1000].max())
    label, n = missed % 1000, 0
    for sample in predictions:
        n += sum(segment['category'] == label and segment['is_thing'] for segment in sample['segments_info'])
    things = {segment['category'] for sample in predictions for segment in sample['segments_info'] if segment['is_thing']}
    sem_seg[sem_seg == missed] = len(PANOPTIC['classes'])
    found = dict(zip(FIGURES, panoptic_figures(panoptic_metric(), predictions), strict=True))
    assert found['RQ_th'] == pytest.approx(100 * (len(things) - 1 + (n - 1) / (n - 0.5)) / len(things))
    assert found['PQ_st'] == 100


@pytest.mark.parametrize('counted', ['image by image', 'at the end'])
def test_a_stuff_class_with_label_0_is_refused(panoptic_metric, predictions, tmp_path, counted):
    predictions[0]['pred_panoptic_seg']['sem_seg'][..., 0] = 0
    options = {} if counted == 'image by image' else dict(outfile_prefix=str(tmp_path / 'results'), nproc=2)
    name = Path(predictions[0]['seg_map_path']).name
    with pytest.raises(ValueError, match=f'{name} .*: the prediction has a segment with id 0; .* thing class come first'):
        panoptic_figures(panoptic_metric(**options), predictions)


# LVISMetric


def lvis_samples(metric: LVISMetric) -> list[dict]:
    """The annotations as predictions."""
    api = metric._lvis_api
    label_of = {category: label for label, category in enumerate(api.get_cat_ids())}
    samples = []
    for number, image in api.imgs.items():
        annotations, shape = api.img_ann_map[number], (image['height'], image['width'])
        boxes = torch.tensor([one['bbox'] for one in annotations], dtype=torch.float32).reshape(-1, 4)
        pred = dict(
            bboxes=torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1),
            scores=torch.ones(len(annotations)),
            labels=torch.tensor([label_of[one['category_id']] for one in annotations], dtype=torch.int64),
            masks=torch.from_numpy(np.stack([api.ann_to_mask(one) for one in annotations] or [np.zeros(shape, np.uint8)])),
        )
        samples.append(dict(img_id=number, ori_shape=shape, pred_instances=pred))
    return samples


def lvis_metric(path: Path) -> LVISMetric:
    metric = LVISMetric(ann_file=str(path), metric=['bbox', 'segm'])
    metric.dataset_meta = dict(classes=tuple(one['name'] for one in metric._lvis_api.cats.values()))
    return metric


def test_real_lvis_truth_has_an_ap_of_1(real_data):
    metric = lvis_metric(real_data / 'lvis_val_100' / 'lvis_val_100.json')
    samples = lvis_samples(metric)
    metric.process({}, samples)
    found = metric.evaluate(len(samples))
    assert len(found) == 18 and set(found.values()) == {1.0}  # AP, by IoU, size and frequency, of boxes and masks


@pytest.fixture
def lvis_file(tmp_path) -> Path:
    """One image with an object of category a and one of b, as LVIS v1 has it."""
    masks = [np.zeros((20, 30), np.uint8) for _ in range(2)]
    masks[0][2:8, 3:9], masks[1][10:18, 12:28] = 1, 1
    rles = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    annotations = [
        dict(id=k + 1, image_id=1, category_id=k + 1, area=int(mask.sum()), bbox=coco_mask.toBbox(rle).tolist(),
             segmentation=dict(size=rle['size'], counts=rle['counts'].decode()))
        for k, (mask, rle) in enumerate(zip(masks, rles, strict=True))
    ]  # fmt: skip
    image = dict(id=1, width=30, height=20, neg_category_ids=[], not_exhaustive_category_ids=[], coco_url='http://x/train2017/1.jpg')
    categories = [dict(id=k, name=name, frequency='f', synset=name, image_count=1, instance_count=1) for k, name in ((1, 'a'), (2, 'b'))]
    path = tmp_path / 'lvis.json'
    path.write_text(json.dumps(dict(info={}, licenses=[], images=[image], annotations=annotations, categories=categories)))
    return path


@pytest.mark.parametrize(('labels', 'expected'), [([0, 1], 1.0), ([0, 0], 0.5), ([1, 0], 0.0)])
def test_lvis_by_hand(lvis_file, labels, expected):
    """[0, 0]: a is found, with a false alarm of a lower score behind it, b is not."""
    metric = lvis_metric(lvis_file)
    samples = lvis_samples(metric)
    samples[0]['pred_instances'].update(labels=torch.tensor(labels), scores=torch.tensor([0.9, 0.8]))
    metric.process({}, samples)
    found = metric.evaluate(1)
    assert found['lvis/bbox_AP'] == found['lvis/segm_AP'] == expected


def test_lvis_without_predictions_is_no_error(lvis_file):
    metric = lvis_metric(lvis_file)
    samples = lvis_samples(metric)
    samples[0]['pred_instances'] = {key: value[:0] for key, value in samples[0]['pred_instances'].items()}
    metric.process({}, samples)
    assert metric.evaluate(1) == {}  # mmdet's answer; the log says why


# CityScapesMetric


@pytest.mark.parametrize(('found', 'shift', 'expected'), [(2, 0, 1.0), (1, 0, 0.5), (2, 16, 0.0), (0, 0, 0.0)])
def test_cityscapes_by_hand(tmp_path, monkeypatch, found, shift, expected):
    """Two cars in gtFine's layout, of which the first `found` are predicted, moved by `shift`, and one more in void, which is ignored.

    In a numpy without in1d, as from 2.4 on.
    """
    monkeypatch.delattr(np, 'in1d', raising=False)
    image = tmp_path / 'leftImg8bit' / 'val' / 'town' / 'town_000000_000000_leftImg8bit.png'
    truth = tmp_path / 'gtFine' / 'val' / 'town' / 'town_000000_000000_gtFine_instanceIds.png'
    truth.parent.mkdir(parents=True)
    ids = np.full((64, 64), 7, np.uint16)  # road
    ids[4:20, 4:20], ids[30:50, 30:60], ids[60:] = 26000, 26001, 0  # cars, and unlabelled ground
    cv2.imwrite(str(truth), ids)
    masks = [np.roll(ids == k, shift, axis=1) for k in (26000, 26001)][:found] + [ids == 0]
    metric = CityScapesMetric(seg_prefix=str(tmp_path / 'gtFine' / 'val'), outfile_prefix=str(tmp_path / 'out'))
    metric.dataset_meta = dict(classes=('person', 'rider', 'car'))
    pred = dict(labels=torch.full((len(masks),), 2), masks=torch.from_numpy(np.stack(masks)), scores=torch.linspace(0.9, 0.5, len(masks)))
    metric.process({}, [dict(img_path=str(image), pred_instances=pred)])
    figures = metric.evaluate(1)
    assert figures['cityscapes/mAP'] == figures['cityscapes/AP@50'] == pytest.approx(expected)


@pytest.mark.parametrize('name', [name for name in libraries.CURES if name.startswith('cityscapesscripts')])
def test_in1d_without_numpys_own(name, monkeypatch):
    monkeypatch.delattr(np, 'in1d', raising=False)
    module = importlib.import_module(name)
    assert module.np.in1d(np.array([[1, 2], [3, 1]]), [1]).tolist() == [True, False, False, True]
    assert module.np.in1d(np.array([1, 2]), [1], invert=True).tolist() == [False, True]


# DepthMetric


def depth_sample(pred: list, truth: list) -> dict:
    return dict(pred_depth_map=dict(data=torch.tensor([[pred]])), gt_depth_map=dict(data=torch.tensor([[truth]])), img_path='a.png')


def test_depth_by_hand():
    metric = DepthMetric(min_depth_eval=1e-3, max_depth_eval=10)
    metric.process({}, [depth_sample([2.0, 3.0, 9.0, 1.0], [1.0, 4.0, 0.0, 10.0])])  # the third is unknown, the fourth too far
    logs = math.log(2), math.log(3 / 4)
    expected = dict(d1=0, d2=0.5, d3=0.5, abs_rel=(1 / 1 + 1 / 4) / 2, sq_rel=(1 / 1 + 1 / 4) / 2, rmse=1)
    expected['rmse_log'] = math.sqrt((logs[0] ** 2 + logs[1] ** 2) / 2)
    expected['log10'] = (math.log10(2) + math.log10(4 / 3)) / 2
    expected['silog'] = math.sqrt((logs[0] ** 2 + logs[1] ** 2) / 2 - 0.5 * ((logs[0] + logs[1]) / 2) ** 2)
    assert metric.evaluate(1) == pytest.approx(expected, rel=1e-5)


def test_depth_metrics_can_be_chosen():
    metric = METRICS.build(dict(type='mmseg.DepthMetric', depth_metrics=['rmse', 'abs_rel'], max_depth_eval=10.0))
    metric.process({}, [depth_sample([2.0, 3.0], [1.0, 4.0]), depth_sample([5.0, 5.0], [2.0, 12.0])])
    assert metric.evaluate(2) == pytest.approx(dict(rmse=(1 + 3) / 2, abs_rel=(0.625 + 1.5) / 2))  # the mean over images


@pytest.mark.parametrize('wrong', [['rmse', 'PSNR'], 'rmse'])
def test_unknown_depth_metrics_are_named(wrong):
    with pytest.raises(ValueError, match=r'depth_metrics=.*; give a list of names out of .*silog'):
        DepthMetric(depth_metrics=wrong)


# The cures themselves


def test_a_second_call_changes_nothing():
    before = list(sys.meta_path), DepthMetric.__init__
    libraries.apply()
    assert (list(sys.meta_path), DepthMetric.__init__) == before


def test_cures_stay_in_their_modules():
    lvis_eval = importlib.import_module('lvis.eval')
    assert lvis_eval.np.float is float and lvis_eval.np.cumsum is np.cumsum
    assert not hasattr(np, 'float')
    with pytest.raises(AttributeError, match='no_such_name'):
        lvis_eval.np.no_such_name  # noqa: B018


def test_modules_imported_before_us_are_cured_too(monkeypatch):
    lvis_eval = importlib.import_module('lvis.eval')
    monkeypatch.setattr(lvis_eval, 'np', np)
    monkeypatch.setattr(libraries, 'CURES', {name: cure for name, cure in libraries.CURES.items() if name == 'lvis.eval'})
    monkeypatch.setattr(sys, 'meta_path', [finder for finder in sys.meta_path if type(finder).__module__ != libraries.__name__])
    libraries.apply()
    assert lvis_eval.np.float is float


def test_a_module_is_cured_on_import_and_again_on_reload(tmp_path, monkeypatch):
    (tmp_path / 'written_for_old_numpy.py').write_text('import numpy as np\n\ndef zero():\n    return np.float(0)\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(libraries.CURES, 'written_for_old_numpy', libraries.CURES['lvis.eval'])
    module = importlib.import_module('written_for_old_numpy')
    assert module.zero() == 0 and importlib.reload(module).zero() == 0
    assert 'np.float(0)' in inspect.getsource(module)
    monkeypatch.delitem(sys.modules, 'written_for_old_numpy')


def test_a_missing_library_stays_missing(monkeypatch):
    monkeypatch.setitem(libraries.CURES, 'no_such_library', libraries.CURES['lvis.eval'])
    with pytest.raises(ModuleNotFoundError, match='no_such_library'):
        importlib.import_module('no_such_library')


def test_the_panoptic_check_wraps_mmdets_function_once():
    module = importlib.import_module('mmdet.evaluation.metrics.coco_panoptic_metric')
    libraries.CURES[module.__name__](module)
    assert module.pq_compute_single_core(0, [], '', '', {}).pq_per_cat == {}
