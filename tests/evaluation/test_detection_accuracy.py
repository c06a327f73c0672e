"""Boxes 10 pixels high, so that IoUs are those of their widths."""

import itertools
import json
import math
import pickle

import numpy as np
import pytest
from squares import evaluate, prediction, true_instances, write_coco

from mmext_instseg.evaluation.detection_accuracy import mask_ious, most_pairs
from mmext_instseg.registry import METRICS


def strip(left, right):
    return left, 0, right, 10


def accuracy(ann_file=None, **kwargs):
    return METRICS.build(dict(type='DetectionAccuracy', ann_file=ann_file, **kwargs))


@pytest.fixture
def figures(tmp_path):
    """Metrics, without their prefix, of predicted strips against true ones, image by image."""

    def run(truth, predicted, **kwargs):
        file = write_coco(tmp_path / 'instances.json', {image: [('disc', *row) for row in rows] for image, rows in enumerate(truth)})
        samples = [prediction(image, [(0, box, 0.5) for box in boxes]) for image, boxes in enumerate(predicted)]
        return {key.removeprefix('detection/'): value for key, value in evaluate(accuracy(file, **kwargs), samples).items()}

    return run


def test_the_largest_assignment_counts_where_greedy_ones_lose(figures):
    # The first prediction has IoU 9 / 17 with the first instance and 7 / 19 with the second, the other 4 / 10 with the first alone.
    # By falling IoU or by falling score the first would take the first and leave nothing to the other.
    found = figures([[(strip(0, 10),), (strip(10, 20),)]], [[strip(1, 17), strip(0, 4)]])
    assert found == dict(accuracy_25=1.0, detections_25=2, accuracy_50=0.5, detections_50=1, accuracy_75=0.0, detections_75=0, instances=2)


@pytest.mark.parametrize(('right', 'expected'), [(5, 0), (6, 1)])
def test_an_iou_at_the_threshold_is_not_above_it(figures, right, expected):
    assert figures([[(strip(0, 10),)]], [[strip(0, right)]], thresholds=(0.5,))['detections_50'] == expected


@pytest.mark.parametrize(('true', 'predicted'), [(1, 2), (2, 1)])
def test_one_to_one(figures, true, predicted):
    found = figures([[(strip(0, 10),)] * true], [[strip(0, 10)] * predicted])
    assert found['detections_75'] == 1 and found['accuracy_75'] == 1 / true


def test_images_without_predictions_and_without_instances(figures):
    found = figures([[(strip(0, 10),), (strip(20, 30),)], [], [(strip(5, 9),)]], [[], [strip(0, 10)], [strip(5, 9)]])
    assert (found['instances'], found['detections_50'], found['accuracy_50']) == (3, 1, pytest.approx(1 / 3))


def test_crowds_are_no_instances(figures):
    found = figures([[(strip(0, 10),), (strip(20, 40), 1)]], [[strip(20, 40)]])
    assert (found['instances'], found['detections_25']) == (1, 0)


def test_without_any_instance_there_is_no_accuracy(figures):
    found = figures([[(strip(0, 10), 1)]], [[strip(0, 10)]])
    assert found['instances'] == found['detections_25'] == 0
    assert math.isnan(found['accuracy_25'])


def test_thresholds_name_their_keys(figures):
    found = figures([[(strip(0, 10),)]], [[strip(0, 2)]], thresholds=(0.125, 0.2))
    assert found == {'accuracy_12.5': 1.0, 'detections_12.5': 1, 'accuracy_20': 0.0, 'detections_20': 0, 'instances': 1}


def test_labels_do_not_matter_but_other_categories_are_no_instances(tmp_path):
    file = write_coco(tmp_path / 'a.json', {1: [('disc', strip(0, 10)), ('star', strip(10, 20)), ('person', strip(20, 30))]})
    samples = [prediction(1, [(1, strip(0, 10), 0.1), (0, strip(10, 20), 0.2), (0, strip(20, 30), 0.3)])]
    found = evaluate(accuracy(file), samples)
    assert (found['detection/instances'], found['detection/detections_75']) == (2, 2)


def test_truth_from_the_data_samples():
    samples = [
        prediction(1, [(0, strip(0, 9), 0.9)], **true_instances([(0, strip(0, 10)), (1, strip(20, 30))])),
        prediction(2, [], **true_instances([(1, strip(0, 10))])),
    ]
    metric = accuracy()
    found = evaluate(metric, samples)
    assert (found['detection/instances'], found['detection/detections_75']) == (3, 1)
    assert evaluate(metric, samples[:1])['detection/accuracy_75'] == 0.5, 'nothing is kept of an evaluation'


def test_processes_share_nothing_but_their_results(tmp_path):
    truth = {image: [('disc', strip(0, 10)), ('star', strip(20, 30))] for image in (1, 2, 3)}
    file = write_coco(tmp_path / 'instances.json', truth)
    samples = [prediction(image, [(0, strip(0, 10 - 2 * image), 0.5)]) for image in truth]
    parts = []
    for chosen in (samples[:2], samples[2:]):
        metric = accuracy(file)
        metric.process({}, chosen)
        parts += pickle.loads(pickle.dumps(metric.results))
    main = accuracy(file)
    main.dataset_meta = dict(classes=('disc', 'star'))
    whole = {f'detection/{key}': value for key, value in main.compute_metrics(parts).items()}
    assert whole == evaluate(accuracy(file), samples)
    assert [whole[f'detection/detections_{percent}'] for percent in (25, 50, 75)] == [3, 2, 1]


def test_most_pairs_against_all_assignments():
    generator = np.random.default_rng(0)
    for rows, cols in itertools.product(range(1, 5), range(1, 5)):
        allowed = generator.random((rows, cols)) < 0.4
        tall = allowed if rows >= cols else allowed.T
        orders = itertools.permutations(range(len(tall)), tall.shape[1])
        best = max(sum(tall[row, col] for col, row in enumerate(order)) for order in orders)
        assert most_pairs(allowed) == best
    assert most_pairs(np.zeros((0, 3), bool)) == most_pairs(np.zeros((3, 0), bool)) == 0


@pytest.mark.parametrize('thresholds', [(), (1.0,), (-0.1, 0.5)])
def test_bad_thresholds(thresholds):
    with pytest.raises(ValueError, match='thresholds: IoUs from 0 up to but not 1'):
        accuracy(thresholds=thresholds)


def test_bad_data_is_named(tmp_path):
    file = tmp_path / 'instances.json'
    write_coco(file, {1: [('disc', strip(0, 10))]})
    with pytest.raises(ValueError, match='image 7 is not in the annotation file; give DetectionAccuracy the ann_file'):
        evaluate(accuracy(str(file)), [prediction(7, [])])
    boxes_only = prediction(1, [(0, strip(0, 10), 0.5)])
    del boxes_only['pred_instances'].masks
    with pytest.raises(ValueError, match='image 1: the predictions have no masks'):
        evaluate(accuracy(str(file)), [boxes_only])
    halved = prediction(1, [(0, strip(0, 10), 0.5)])
    halved['pred_instances'].masks = halved['pred_instances'].masks[:, :20]
    with pytest.raises(ValueError, match=r'image 1: predicted and true masks have different sizes .*: \[\(20, 40\), \(40, 40\)\]'):
        evaluate(accuracy(str(file)), [halved])
    content = json.loads(file.read_text())
    content['annotations'][0]['segmentation'] = []
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='annotation 1 has no segmentation'):
        evaluate(accuracy(str(file)), [prediction(1, [])])


def test_mask_ious_without_masks():
    assert mask_ious([], [], 'image 1').shape == (0, 0)
