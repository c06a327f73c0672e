"""Two images, two squares each, of two classes; every expected AP is derived by hand."""

import copy
import json

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import CocoMetric
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmext_instseg.registry import METRICS

META = dict(classes=('disc', 'star'))
BOXES = {1: [(2, 2, 12, 12), (20, 20, 36, 36)], 2: [(5, 5, 25, 25), (30, 4, 38, 12)]}
LABELS = {1: [0, 1], 2: [1, 0]}


def square(box):
    mask = np.zeros((40, 40), np.uint8, order='F')
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


@pytest.fixture
def ann_file(tmp_path):
    annotations = []
    for image, boxes in BOXES.items():
        for (x1, y1, x2, y2), label in zip(boxes, LABELS[image], strict=True):
            rle = coco_mask.encode(square((x1, y1, x2, y2)))
            box = [x1, y1, x2 - x1, y2 - y1]
            row = dict(id=len(annotations) + 1, image_id=image, category_id=(10, 20)[label], bbox=box, area=box[2] * box[3], iscrowd=0)
            annotations.append({**row, 'segmentation': {**rle, 'counts': rle['counts'].decode()}})
    categories = [dict(id=10, name='disc'), dict(id=20, name='star'), dict(id=30, name='person')]
    images = [dict(id=image, width=40, height=40, file_name=f'{image}.png') for image in BOXES]
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def evaluate(metric, labels, boxes=BOXES, samples=None):
    """Predicts the squares `boxes` with `labels` and score 0.9."""
    metric.dataset_meta = META
    for image in BOXES:
        chosen = boxes[image]
        masks = torch.from_numpy(np.stack([square(box) for box in chosen])).bool() if chosen else torch.zeros((0, 40, 40), dtype=torch.bool)
        pred = InstanceData(
            bboxes=torch.tensor(chosen, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor(labels[image], dtype=torch.int64),
            scores=torch.full((len(chosen),), 0.9),
            masks=masks,
        )
        extra = {} if samples is None else samples[image]
        metric.process({}, [dict(pred_instances=pred, img_id=image, ori_shape=(40, 40), **extra)])
    return metric.evaluate(size=len(BOXES))


def agnostic(**kwargs):
    return METRICS.build(dict(type='ClassAgnosticCocoMetric', **kwargs))


def test_ground_truth_as_prediction_is_perfect(ann_file):
    assert evaluate(agnostic(ann_file=str(ann_file)), LABELS)['agnostic/segm_mAP'] == 1.0


def test_wrong_labels_count_only_where_classes_do(ann_file):
    swapped = {image: [1 - label for label in labels] for image, labels in LABELS.items()}
    before = ann_file.read_text()
    assert evaluate(CocoMetric(ann_file=str(ann_file), metric='segm'), swapped)['coco/segm_mAP'] == 0.0
    result = evaluate(agnostic(ann_file=str(ann_file), metric=['segm', 'bbox']), swapped)
    assert result['agnostic/segm_mAP'] == 1.0
    assert result['agnostic/bbox_mAP'] == 1.0
    assert ann_file.read_text() == before


def test_half_of_the_objects(ann_file):
    # 2 of 4 objects found, no false ones: precision 1 up to recall 0.5, so 51 of COCO's 101 recall points.
    first = {image: boxes[:1] for image, boxes in BOXES.items()}
    result = evaluate(agnostic(ann_file=str(ann_file)), {1: [1], 2: [1]}, first)
    assert result['agnostic/segm_mAP'] == pytest.approx(51 / 101, abs=5e-4)


def test_no_predictions_give_zero(ann_file):
    none = {1: [], 2: []}
    result = evaluate(agnostic(ann_file=str(ann_file)), none, none)
    assert result['agnostic/segm_mAP'] == 0.0
    assert result['agnostic/segm_mAP_50'] == 0.0


def test_categories_outside_the_classes_stay_out(ann_file):
    content = json.loads(ann_file.read_text())
    other = copy.deepcopy(content['annotations'][0])
    content['annotations'].append({**other, 'id': 99, 'category_id': 30})
    ann_file.write_text(json.dumps(content))
    # A fifth object in the truth would cap the recall at 4 of 5.
    assert evaluate(agnostic(ann_file=str(ann_file)), LABELS)['agnostic/segm_mAP'] == 1.0


def test_ground_truth_from_the_data_samples():
    swapped = {image: [1 - label for label in labels] for image, labels in LABELS.items()}
    samples = {}
    for image, boxes in BOXES.items():
        masks = [coco_mask.encode(square(box)) for box in boxes]
        rows = zip(boxes, LABELS[image], masks, strict=True)
        samples[image] = dict(instances=[dict(bbox=list(box), bbox_label=label, mask=mask) for box, label, mask in rows])
    assert evaluate(agnostic(), swapped, samples=samples)['agnostic/segm_mAP'] == 1.0


def test_evaluating_twice_gives_the_same(ann_file):
    metric = agnostic(ann_file=str(ann_file))
    assert evaluate(metric, LABELS) == evaluate(metric, LABELS)
