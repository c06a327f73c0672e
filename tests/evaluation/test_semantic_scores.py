"""Rows of pixels, so that every figure can be counted by hand."""

import math

import pytest
import torch

from mmext_instseg.registry import METRICS
from mmext_instseg.structures import InstanceMap

CLASSES = ('house', 'car')


def scores(*samples, classes=CLASSES):
    metric = METRICS.build(dict(type='SemanticScores'))
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    return {key.removeprefix('semantic/'): value for key, value in metric.evaluate(len(samples)).items()}


def sample(ids, labels, predicted, img_shape=None, **more):
    ids, predicted = torch.tensor(ids, dtype=torch.int32), torch.tensor(predicted)
    truth = InstanceMap.from_ids(ids, torch.tensor(labels, dtype=torch.int64))
    return dict(
        gt_instance_map=truth, pred_sem_seg=dict(sem_seg=predicted[None]), img_shape=img_shape or ids.shape, img_path='a.png', **more
    )


def test_counts_by_hand():
    # truth: house 2, car 1, background 3 and one ignored; prediction: 2 is the background
    found = scores(sample([[1, 1, 2, 0, 0, 0, -1]], [0, 1], [[0, 2, 1, 0, 2, 2, 0]]))
    assert found['IoU_house'] == pytest.approx(1 / 3) and found['IoU_car'] == 1 and found['IoU_background'] == pytest.approx(2 / 4)
    assert found['precision_house'] == 1 / 2 and found['recall_house'] == 1 / 2 and found['F1_house'] == 1 / 2
    assert found['precision_background'] == pytest.approx(2 / 3) and found['recall_background'] == pytest.approx(2 / 3)
    assert found['mIoU'] == pytest.approx((1 / 3 + 1 + 1 / 2) / 3) and found['accuracy'] == pytest.approx(4 / 6)


def test_images_are_pooled_and_absent_classes_left_out():
    found = scores(sample([[1, 0]], [0], [[0, 2]]), sample([[1, 1, 1, 0]], [0], [[0, 2, 2, 2]]))
    assert found['recall_house'] == 2 / 4 and math.isnan(found['IoU_car'])
    assert found['mIoU'] == pytest.approx((2 / 4 + 2 / 4) / 2)


def test_truth_loses_its_padding_and_comes_to_the_size_of_the_prediction():
    # The input is 1 x 3 with a padded column, the image 2 x 4
    found = scores(sample([[1, 0, -1]], [1], [[1, 1, 2, 2], [1, 1, 2, 2]], img_shape=(1, 2)))
    assert found['accuracy'] == found['IoU_car'] == 1


def test_a_detector_without_semantics_is_read_by_its_masks():
    one = sample([[1, 1, 2, 0]], [0, 1], [[0, 0, 0, 0]])
    del one['pred_sem_seg']
    masks = torch.tensor([[[True, True, True, False]], [[False, False, True, False]], [[False, False, False, True]]])
    found = dict(masks=masks, labels=torch.tensor([0, 1, 1]), scores=torch.tensor([0.6, 0.9, 0.4]))
    assert scores(dict(one, pred_instances=found))['accuracy'] == 1, 'the better mask wins, the one below the threshold is not there'
    none = dict(masks=masks[:0], labels=torch.zeros(0, dtype=torch.int64), scores=torch.zeros(0))
    assert scores(dict(one, pred_instances=none))['accuracy'] == 1 / 4


def test_stuff_and_pixels_that_nobody_labelled():
    stuff = dict(sem_seg=torch.tensor([[[1, 1, 1, 255]]]))
    found = scores(sample([[1, 0, 0, 0]], [0], [[0, 1, 0, 0]], gt_sem_seg=stuff))
    assert found['accuracy'] == pytest.approx(2 / 3) and found['recall_car'] == 1 / 2 and math.isnan(found['recall_background'])


@pytest.mark.parametrize('key', ['pred_sem_seg', 'gt_instance_map'])
def test_what_is_missing_is_named(key):
    one = sample([[1, 0]], [0], [[0, 2]])
    del one[key]
    with pytest.raises(ValueError, match='SemanticScores needs'):
        scores(one)
