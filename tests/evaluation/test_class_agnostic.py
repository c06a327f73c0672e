"""Two images, two squares each, of two classes; every expected AP is derived by hand."""

import copy
import json
from pathlib import Path

import pytest
import squares
from mmdet.evaluation.metrics import CocoMetric

from mmext_instseg.registry import METRICS

NAMES = ('disc', 'star')
BOXES = {1: [(2, 2, 12, 12), (20, 20, 36, 36)], 2: [(5, 5, 25, 25), (30, 4, 38, 12)]}
LABELS = {1: [0, 1], 2: [1, 0]}


@pytest.fixture
def ann_file(tmp_path):
    truth = {image: [(NAMES[label], box) for label, box in zip(LABELS[image], boxes, strict=True)] for image, boxes in BOXES.items()}
    return Path(squares.write_coco(tmp_path / 'instances.json', truth))


def evaluate(metric, labels, boxes=BOXES, samples=None):
    """Predicts the squares `boxes` with `labels` and score 0.9."""
    predicted = []
    for image in BOXES:
        rows = [(label, box, 0.9) for label, box in zip(labels[image], boxes[image], strict=True)]
        predicted.append(squares.prediction(image, rows, **({} if samples is None else samples[image])))
    return squares.evaluate(metric, predicted, NAMES)


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
    samples = {image: squares.true_instances(zip(LABELS[image], boxes, strict=True)) for image, boxes in BOXES.items()}
    assert evaluate(agnostic(), swapped, samples=samples)['agnostic/segm_mAP'] == 1.0


def test_evaluating_twice_gives_the_same(ann_file):
    metric = agnostic(ann_file=str(ann_file))
    assert evaluate(metric, LABELS) == evaluate(metric, LABELS)
