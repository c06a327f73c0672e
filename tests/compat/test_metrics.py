"""The metrics of mmdet and mmseg that fail in a current environment without our cures, from files to figures."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoPanopticDataset
from mmdet.evaluation import CityScapesMetric, CocoPanopticMetric, LVISMetric
from mmengine.structures import PixelData
from mmseg.evaluation import DepthMetric
from pycocotools import mask as coco_mask

from mmext_instseg.compat import libraries
from mmext_instseg.structures import InstanceMap, to_panoptic_seg


def panoptic_prediction(png: Path, segments: list[dict], label_of: dict[int, int]) -> PixelData:
    """The annotation itself as a prediction; crowds are left void."""
    colors = cv2.imread(str(png))[..., ::-1].astype(np.int64)
    ids = torch.from_numpy(colors @ np.array([1, 256, 256**2]))
    stuff, things, labels = torch.full(ids.shape, 133), torch.zeros(ids.shape, dtype=torch.int64), []
    for segment in segments:
        label = label_of[segment['category_id']]
        if label >= 80:
            stuff[ids == segment['id']] = label
        elif not segment['iscrowd']:
            labels.append(label)
            things[ids == segment['id']] = len(labels)
    instances = InstanceMap.from_ids(things, torch.tensor(labels, dtype=torch.int64))
    return to_panoptic_seg(instances, stuff, num_classes=133)


@pytest.fixture
def coco_panoptic(real_data):
    """Metric, and (file, annotation, prediction) of the 27 real validation images."""
    folder = real_data / 'coco_panoptic_mini' / 'annotations'
    metric = CocoPanopticMetric(ann_file=str(folder / 'panoptic_val2017.json'), seg_prefix=str(folder / 'panoptic_val2017'))
    metric.dataset_meta = CocoPanopticDataset.METAINFO
    data = json.loads((folder / 'panoptic_val2017.json').read_text())
    names = {category['name']: category['id'] for category in data['categories']}
    label_of = {names[name]: label for label, name in enumerate(metric.dataset_meta['classes']) if name in names}
    samples = []
    for annotation in data['annotations']:
        seg = panoptic_prediction(folder / 'panoptic_val2017' / annotation['file_name'], annotation['segments_info'], label_of)
        name = annotation['file_name'].replace('.png', '.jpg')
        samples.append(dict(img_id=annotation['image_id'], img_path=name, ori_shape=seg.shape, pred_panoptic_seg=seg.to_dict()))
    return metric, samples


def test_truth_as_prediction_has_a_panoptic_quality_of_exactly_100(coco_panoptic):
    metric, samples = coco_panoptic
    metric.process({}, samples)
    found = metric.evaluate(len(samples))
    assert {found[f'coco_panoptic/{name}'] for name in ('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st')} == {100.0}


def test_void_as_prediction_has_a_panoptic_quality_of_0(coco_panoptic):
    metric, samples = coco_panoptic
    for sample in samples:
        sample['pred_panoptic_seg']['sem_seg'].fill_(133)
    metric.process({}, samples)
    assert metric.evaluate(len(samples))['coco_panoptic/PQ'] == 0


@pytest.fixture
def lvis_file(tmp_path) -> tuple[str, list[dict]]:
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
    return str(path), rles


@pytest.mark.parametrize(('labels', 'expected'), [([0, 1], 1.0), ([1, 0], 0.0)])
def test_lvis(lvis_file, labels, expected):
    path, rles = lvis_file
    metric = LVISMetric(ann_file=path, metric='segm')
    metric.dataset_meta = dict(classes=('a', 'b'))
    boxes = torch.tensor([[3.0, 2, 9, 8], [12, 10, 28, 18]])
    masks = torch.from_numpy(np.stack([coco_mask.decode(rle) for rle in rles]))
    pred = dict(bboxes=boxes, scores=torch.ones(2), labels=torch.tensor(labels), masks=masks)
    metric.process({}, [dict(img_id=1, ori_shape=(20, 30), pred_instances=pred)])
    assert metric.evaluate(1)['lvis/segm_AP'] == pytest.approx(expected)


@pytest.mark.parametrize(('shift', 'expected'), [(0, 1.0), (16, 0.0)])
def test_cityscapes(tmp_path, shift, expected):
    image = tmp_path / 'leftImg8bit' / 'val' / 'town' / 'town_000000_000000_leftImg8bit.png'
    truth = tmp_path / 'gtFine' / 'val' / 'town' / 'town_000000_000000_gtFine_instanceIds.png'
    for path in (image, truth):
        path.parent.mkdir(parents=True)
    ids = np.full((64, 64), 7, np.uint16)  # road
    ids[4:20, 4:20], ids[30:50, 30:60] = 26000, 26001  # two cars
    cv2.imwrite(str(truth), ids)
    masks = torch.from_numpy(np.stack([np.roll(ids == k, shift, axis=1) for k in (26000, 26001)]))
    metric = CityScapesMetric(seg_prefix=str(tmp_path / 'gtFine' / 'val'), outfile_prefix=str(tmp_path / 'out'))
    metric.dataset_meta = dict(classes=('person', 'rider', 'car'))
    pred = dict(labels=torch.tensor([2, 2]), masks=masks, scores=torch.tensor([0.9, 0.8]))
    metric.process({}, [dict(img_path=str(image), pred_instances=pred)])
    assert metric.evaluate(1)['cityscapes/mAP'] == pytest.approx(expected)


def depth_sample(pred: list, truth: list) -> dict:
    return dict(pred_depth_map=dict(data=torch.tensor([[pred]])), gt_depth_map=dict(data=torch.tensor([[truth]])), img_path='a.png')


def test_depth_by_hand():
    sample = depth_sample([2.0, 3.0, 9.0], [1.0, 4.0, 0.0])  # the third is unknown
    everything = DepthMetric(min_depth_eval=1e-3, max_depth_eval=10)
    everything.process({}, [sample])
    found = everything.evaluate(1)
    assert found['rmse'] == pytest.approx(1.0) and found['abs_rel'] == pytest.approx((1 / 1 + 1 / 4) / 2)
    chosen = DepthMetric(depth_metrics=['rmse'], min_depth_eval=1e-3, max_depth_eval=10)
    chosen.process({}, [sample])
    assert set(chosen.evaluate(1)) == {'rmse'}
    with pytest.raises(ValueError, match='PSNR'):
        DepthMetric(depth_metrics=['rmse', 'PSNR'])


def test_cures_touch_their_modules_only_and_once():
    finders = len(sys.meta_path)
    libraries.apply()
    assert len(sys.meta_path) == finders
    assert not hasattr(np, 'float')
    from lvis import eval as lvis_eval

    assert lvis_eval.np.float is float and lvis_eval.np.cumsum is np.cumsum


def test_in1d_without_numpys_own():
    from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling as module

    assert isinstance(module.np, libraries.NumpyWith)
    assert module.np.in1d(np.array([[1, 2], [3, 1]]), [1]).tolist() == [True, False, False, True]
    assert module.np.in1d(np.array([1, 2]), [1], invert=True).tolist() == [False, True]
