"""Boxes 10 pixels high, so that IoUs are those of their widths."""

import math

import pytest
from squares import evaluate, prediction, true_instances, write_coco

from mmext_instseg.registry import METRICS


def metric(ann_file=None, **kwargs):
    return METRICS.build(dict(type='IoUByArea', ann_file=ann_file, **kwargs))


def strip(left, right):
    return left, 0, right, 10


def test_the_best_prediction_counts_for_each_instance_of_its_size(tmp_path):
    # Sides: 10 and sqrt(90) in the bin 8-16, exactly 20 in the bin from 20 up.
    truth = {1: [('disc', strip(0, 10)), ('star', strip(10, 19))], 2: [('disc', (0, 0, 20, 20)), ('star', strip(20, 40), 1)]}
    file = write_coco(tmp_path / 'instances.json', truth)
    # IoUs 5/10 and 4/10 with the first, 3/9 with the second; the labels are wrong. 10 rows of 20 in the other image; the crowd is none.
    samples = [
        prediction(1, [(1, strip(0, 5), 0.1), (1, strip(0, 4), 0.9), (0, strip(16, 19), 0.5)]),
        prediction(2, [(0, strip(0, 20), 0.5)]),
    ]
    found = evaluate(metric(file, sides=(0, 8, 16, 20)), samples)
    assert math.isnan(found.pop('iou_by_area/0-8')) and math.isnan(found.pop('iou_by_area/16-20'))
    assert found == {
        'iou_by_area/8-16': pytest.approx((1 / 2 + 1 / 3) / 2),
        'iou_by_area/20-': pytest.approx(1 / 2),
        'iou_by_area/all': pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3),
    }


def test_an_instance_without_predictions_counts_0_and_an_image_without_instances_nothing():
    samples = [prediction(1, [], **true_instances([(0, strip(0, 10))])), prediction(2, [(0, strip(0, 9), 0.5)], **true_instances([]))]
    found = evaluate(metric(sides=(0, 16)), samples)
    assert (found['iou_by_area/0-16'], found['iou_by_area/all']) == (0, 0)


def test_no_instance_at_all():
    assert all(math.isnan(value) for value in evaluate(metric(), [prediction(1, [], **true_instances([]))]).values())


@pytest.mark.parametrize('sides', [(), (8, 16), (0, 16, 16), (0, 32, 16)])
def test_wrong_sides(sides):
    with pytest.raises(ValueError, match='ascending lower bounds'):
        metric(sides=sides)
