"""PhraseMetric by hand: rectangles on 40 x 40 pixels, two or three phrases an image."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as coco_mask
from squares import SIZE, prediction, square, true_instances

from mmext_instseg.evaluation import ClassAgnosticCocoMetric, PhraseMetric
from mmext_instseg.evaluation.phrase_scores import PhraseResult, dice, instance_ap, iou, matched_dice, pixel_counts
from mmext_instseg.registry import METRICS

A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (0, 20, 10, 30)
NOTHING = np.zeros((SIZE, SIZE), np.uint8)


def rle(box):
    return coco_mask.encode(square(box))


def sample(image, num, truth, found, unions=None, crowd=()):
    """`num` phrases; truth: rows (phrase, box); found: rows (phrase, box, score); unions: a box or None for each phrase."""
    more = true_instances([*truth, *crowd])
    for one in more['instances'][len(truth) :]:
        one['ignore_flag'] = 1
    if unions is not None:
        masks = np.stack([NOTHING if box is None else square(box) for box in unions])
        more['pred_phrase_masks'] = dict(data=torch.from_numpy(masks).bool())
    return prediction(image, found, text=tuple(f'phrase {i}' for i in range(num)), **more)


def evaluate(*samples):
    metric = METRICS.build(dict(type='PhraseMetric'))
    metric.process({}, list(samples))
    assert len(metric.results) == len(samples)  # collecting from several processes cuts at the number of images
    return {key.removeprefix('phrase/'): value for key, value in metric.evaluate(len(samples)).items()}


def test_truth_as_prediction_is_perfect():
    found = evaluate(sample(1, 3, [(0, A), (0, B), (1, C)], [(0, A, 0.9), (0, B, 0.8), (1, C, 0.7)]))
    # Phrase 2 is negative: Dice 1, IoU 0.
    expected = dict(mDice=1, mDice_positive=1, mIoU=2 / 3, mIoU_positive=1, cIoU=1, matched_Dice=1, AP=1, AP50=1, empty_negatives=1)
    expected |= {'Pr@0.5': 2 / 3, 'Pr@0.7': 2 / 3, 'Pr@0.9': 2 / 3, 'phrases': 3, 'negatives': 1}
    assert found == pytest.approx(expected)


def test_union_masks_by_hand():
    # Phrase 0: intersection 50 of areas 100 and 100. Phrase 1: negative, 100 pixels predicted. Phrase 2: negative, nothing.
    # Phrase 0 of the second image: 100 pixels within 200.
    first = sample(1, 3, [(0, A)], [], [(5, 0, 15, 10), B, None])
    second = sample(2, 1, [(0, (0, 0, 20, 10))], [], [A])
    found = evaluate(first, second)
    assert found['mDice'] == pytest.approx((50 / 100 + 0 + 1 + 200 / 300) / 4)
    assert found['mDice_positive'] == pytest.approx((50 / 100 + 200 / 300) / 2)
    assert found['mIoU'] == pytest.approx((50 / 150 + 0 + 0 + 100 / 200) / 4)
    assert found['mIoU_positive'] == pytest.approx((50 / 150 + 100 / 200) / 2)
    assert found['cIoU'] == pytest.approx((50 + 100) / (150 + 100 + 0 + 200))
    assert found['Pr@0.5'] == 0  # 0.5 isn't above 0.5
    assert found['empty_negatives'] == 0.5
    assert (found['phrases'], found['negatives']) == (4, 2)
    assert found['matched_Dice'] == found['AP'] == 0


def test_precision_at_a_threshold():
    unions = [(0, 0, 10, 6), (0, 0, 10, 8), (0, 0, 10, 10)]  # IoU 0.6, 0.8, 1 with A
    found = evaluate(sample(1, 3, [(i, A) for i in range(3)], [], unions))
    assert [found[f'Pr@{threshold}'] for threshold in (0.5, 0.7, 0.9)] == pytest.approx([1, 2 / 3, 1 / 3])


def test_empty_masks():
    assert (dice(0, 0, 0), iou(0, 0, 0)) == (1, 0)
    assert (dice(0, 0, 7), iou(0, 0, 7)) == (0, 0)


def test_matching_is_the_best_of_all_not_greedy():
    # Rows 0-10 and 4-14 are true; 1-11 fits the first best (0.9), but then the other prediction, 0-4, fits nothing.
    truth = [rle((0, 0, 10, 10)), rle((0, 4, 10, 14))]
    masks = [rle((0, 1, 10, 11)), rle((0, 0, 10, 4))]
    assert matched_dice(masks, truth) == pytest.approx((14 / 20 + 8 / 14) / 2)
    assert matched_dice(masks[:1], truth) == pytest.approx(0.9 / 2)
    assert matched_dice(masks + [rle(B)], truth) == matched_dice(masks, truth)
    assert matched_dice([], truth) == 0
    assert np.isnan(matched_dice(masks, []))


def test_matched_dice_is_a_mean_over_phrases_that_mean_something():
    found = evaluate(sample(1, 3, [(0, A), (0, B), (1, C)], [(0, A, 0.5), (1, C, 0.5), (2, C, 0.5)]))
    assert found['matched_Dice'] == pytest.approx((1 / 2 + 1) / 2)
    assert found['empty_negatives'] == 0


def test_ap_finds_instances_by_phrase():
    # B is found, but for the phrase that means A: one false, none true.
    assert evaluate(sample(1, 2, [(0, A), (1, B)], [(0, B, 0.9)]))['AP'] == 0
    # One of two: precision 1 up to recall 0.5, 51 of 101 recall points.
    assert evaluate(sample(1, 2, [(0, A), (1, B)], [(0, A, 0.9)]))['AP'] == pytest.approx(51 / 101)
    # IoU 0.6 is enough for 0.5, 0.55 and 0.6.
    found = evaluate(sample(1, 1, [(0, A)], [(0, (0, 0, 10, 6), 0.9)]))
    assert (found['AP'], found['AP50']) == pytest.approx((0.3, 1.0))


def test_false_instances_of_a_negative_phrase_cost_ap():
    # The surer detection is the false one: precision 1/2 at every recall.
    assert evaluate(sample(1, 2, [(0, A)], [(0, A, 0.5), (1, A, 0.9)]))['AP'] == pytest.approx(0.5)


def test_hundreds_of_instances_count():
    pixels = [(x, y, x + 1, y + 1) for x in range(0, SIZE, 2) for y in range(0, SIZE, 2)]
    found = evaluate(sample(1, 1, [(0, one) for one in pixels], [(0, one, 0.5) for one in pixels]))
    assert len(pixels) == 400 and found['AP'] == found['matched_Dice'] == 1


def test_ap_equals_mmdets_on_random_boxes():
    generator = np.random.default_rng(0)
    samples, alone = [], []
    for image in range(12):
        corners = generator.integers(0, 25, (8, 2))
        boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners.tolist(), generator.integers(4, 15, (8, 2)).tolist(), strict=True)]
        moved = [(x1, min(y1 + generator.integers(0, 3), y2 - 1), x2, y2) for x1, y1, x2, y2 in boxes[:6]]
        found = [(0, box, float(score)) for box, score in zip(moved, generator.random(6), strict=True)]
        truth = [(0, box) for box in boxes[2:]]
        samples.append(sample(image, 1, truth, found))
        alone.append(prediction(image, found, **true_instances(truth)))
    reference = ClassAgnosticCocoMetric()
    reference.dataset_meta = dict(classes=('object',))
    reference.process({}, alone)
    expected = reference.evaluate(len(alone))
    ours = evaluate(*samples)
    assert 0.1 < ours['AP'] < 0.9
    assert ours['AP'] == pytest.approx(expected['agnostic/segm_mAP'], abs=6e-4)
    assert ours['AP50'] == pytest.approx(expected['agnostic/segm_mAP_50'], abs=6e-4)


def test_ignored_regions_count_nowhere_but_under_instances():
    # Rows 0-10 are true, 5-20 ignored, 0-30 predicted: 10 rows of 20 predicted ones are right.
    result = PhraseResult(rle((0, 0, 10, 30)), [], [], [rle((0, 0, 10, 10))], [rle((0, 5, 10, 20))])
    assert pixel_counts(result) == (100, 200, 100)
    crowd = [(0, (0, 5, 10, 20)), (1, C)]
    found = evaluate(sample(1, 2, [(0, A)], [(0, A, 0.5), (0, (0, 11, 10, 19), 0.9), (1, C, 0.9)], [A, C], crowd))
    # The region excuses the second detection, and nothing is known of the second phrase.
    assert [found[key] for key in ('mDice', 'AP', 'matched_Dice')] == pytest.approx([1, 1, 1])
    assert (found['phrases'], found['negatives']) == (2, 0) and np.isnan(found['empty_negatives'])


def test_without_truth_there_is_no_ap():
    found = evaluate(sample(1, 1, [], [(0, A, 0.5)]))
    assert np.isnan([found[key] for key in ('AP', 'AP50', 'matched_Dice', 'mDice_positive')]).all()
    assert (found['mDice'], found['empty_negatives']) == (0, 0)
    assert np.isnan(instance_ap([])).all()


def test_the_union_mask_has_precedence_over_instances():
    truth, found = [(0, A), (0, B)], [(0, A, 0.5)]
    assert evaluate(sample(1, 1, truth, found))['mDice'] == pytest.approx(2 / 3)
    assert evaluate(sample(1, 1, truth, found, [None]))['mDice'] == 0


def test_data_samples_and_masks_as_rle():
    masks = torch.from_numpy(np.stack([square(A), NOTHING])).bool()
    polygon = [[0, 0, 10, 0, 10, 10, 0, 10]]
    meta = dict(img_id=1, ori_shape=(SIZE, SIZE), text='circles', instances=[dict(bbox=[0, 0, 10, 10], bbox_label=0, mask=polygon)])
    one = DetDataSample(metainfo=meta)
    one.pred_instances = InstanceData(masks=[rle(A)], labels=torch.tensor([0]), scores=torch.tensor([0.5]), bboxes=torch.zeros(1, 4))
    one.pred_phrase_masks = PixelData(data=masks[:1])
    evaluator = Evaluator(PhraseMetric())
    evaluator.process([one])
    found = evaluator.evaluate(1)
    assert [found['phrase/mDice'], found['phrase/AP']] == pytest.approx([1, 1])


def without(key):
    return lambda one: one.pop(key)


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (without('text'), "image 7 .*no 'text'.*meta_keys"),
        (without('instances'), "image 7 .*no 'instances'"),
        (without('pred_instances'), 'image 7 .*no masks'),
        (lambda one: one.update(ori_shape=(20, 40)), r'image 7 .*\(40, 40\).*\(20, 40\)'),
        (
            lambda one: one.update(pred_phrase_masks=dict(data=torch.zeros(3, SIZE, SIZE))),
            'image 7 .*3 masks in pred_phrase_masks for 2 phrases',
        ),
        (lambda one: one['instances'][0].update(bbox_label=2), 'image 7 .*instances: label 2 for 2 phrases'),
        (lambda one: one['pred_instances'].labels.fill_(-1), 'image 7 .*pred_instances: label -1'),
        (lambda one: one['instances'][0].pop('mask'), 'image 7 .*instance 0: no polygon'),
    ],
)
def test_errors_name_the_image(damage, message):
    broken = sample(7, 2, [(0, A)], [(0, A, 0.5)])
    damage(broken)
    with pytest.raises(ValueError, match=message):
        PhraseMetric().process({}, [broken])
