"""Panoptic quality by hand: through mmdet's counting, which our cure guards, and through the fallback's own."""

import copy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import panopticapi.evaluation
import pytest
from mmdet.evaluation.metrics import coco_panoptic_metric
from panopticapi.evaluation import PQStat
from panopticapi.utils import IdGenerator, id2rgb, rgb2id, save_json

CATEGORIES = {1: dict(id=1, isthing=1, color=[220, 20, 60]), 2: dict(id=2, isthing=0, color=[0, 90, 10])}
COUNTERS = {'mmdet': coco_panoptic_metric.pq_compute_single_core, 'fallback': panopticapi.evaluation.pq_compute_single_core}


def write_pair(folder: Path, truth: list, predicted: list, truth_segments: dict, predicted_segments: dict) -> tuple[dict, dict]:
    """Annotation and prediction of one image: ids as nested lists; segments as id -> (category, iscrowd)."""
    pair = []
    for name, ids, segments in (('gt', truth, truth_segments), ('pred', predicted, predicted_segments)):
        ids = np.array(ids)
        (folder / name).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name / 'a.png'), id2rgb(ids)[..., ::-1])
        infos = [dict(id=k, category_id=c, iscrowd=crowd, area=int((ids == k).sum())) for k, (c, crowd) in segments.items()]
        pair.append(dict(image_id=7, file_name='a.png', segments_info=infos))
    return pair[0], pair[1]


def run(counter: str, folder: Path, pair: tuple[dict, dict]) -> PQStat:
    return COUNTERS[counter](0, [copy.deepcopy(pair)], str(folder / 'gt'), str(folder / 'pred'), CATEGORIES)


@pytest.fixture(params=COUNTERS)
def quality(request, tmp_path) -> Callable[..., PQStat]:
    """Writes one image as `write_pair` takes it, and counts."""
    return lambda *image: run(request.param, tmp_path, write_pair(tmp_path, *image))


def counts(stat: PQStat, category: int = 1) -> tuple:
    one = stat[category]
    return one.tp, one.fp, one.fn, pytest.approx(one.iou)


def test_colours_and_ids_are_inverse():
    ids = np.array([[0, 1, 255], [256, 65536, 256**3 - 1]])
    assert np.array_equal(rgb2id(id2rgb(ids)), ids)
    assert id2rgb(256 * 2 + 5) == [5, 2, 0] and rgb2id([5, 2, 1]) == 5 + 512 + 65536


def test_id_generator_never_repeats_a_colour():
    generator = IdGenerator(CATEGORIES)
    ids = [generator.get_id(1) for _ in range(50)]
    assert len(set(ids)) == 50 and 0 not in ids and ids[0] == rgb2id([220, 20, 60])
    assert generator.get_color(2) == generator.get_color(2) == [0, 90, 10]
    number, color = generator.get_id_and_color(1)
    assert number == rgb2id(color) and number not in ids


def test_json_is_written(tmp_path):
    save_json(dict(a=[1, 2]), str(tmp_path / 'a.json'))
    assert (tmp_path / 'a.json').read_text() == '{"a": [1, 2]}'


def test_match_miss_and_false_alarm(quality):
    truth = [[1, 1, 1, 1, 2, 2, 2, 2]]
    predicted = [[5, 5, 5, 6, 6, 6, 2, 2]]  # 5 and 1: 3 / 4; 6 and 2: 2 / 5
    stat = quality(truth, predicted, {1: (1, 0), 2: (1, 0)}, {5: (1, 0), 6: (1, 0), 2: (2, 0)})
    assert counts(stat) == (1, 1, 1, 0.75)
    average, per_category = stat.pq_average(CATEGORIES, isthing=True)
    assert per_category == {1: dict(pq=0.75 / 2, sq=0.75, rq=0.5)} and average['n'] == 1
    average, _ = stat.pq_average(CATEGORIES, isthing=None)
    assert average == dict(pq=0.75 / 4, sq=0.375, rq=0.25, n=2)  # the stuff segment is a false alarm
    assert stat.pq_average(CATEGORIES, isthing=False) == (dict(pq=0, sq=0, rq=0, n=1), {2: dict(pq=0, sq=0, rq=0)})


def test_two_categories_are_averaged(quality):
    truth = [[1, 1, 1, 1, 2, 2, 3, 3]]
    predicted = [[4, 4, 4, 3, 2, 2, 5, 5]]  # 4 and 1: 3 / 4; 2 and 2: 1; 5 and 3: 1; 3 is a false alarm of 1 pixel
    stat = quality(truth, predicted, {1: (1, 0), 2: (2, 0), 3: (2, 0)}, {4: (1, 0), 3: (1, 0), 2: (2, 0), 5: (2, 0)})
    average, per_category = stat.pq_average(CATEGORIES, isthing=None)
    assert per_category == {1: dict(pq=0.5, sq=0.75, rq=1 / 1.5), 2: dict(pq=1, sq=1, rq=1)}
    assert average == dict(pq=0.75, sq=0.875, rq=pytest.approx(5 / 6), n=2)


def test_nothing_at_all_is_zero():
    zero = dict(pq=0, sq=0, rq=0)
    assert PQStat().pq_average(CATEGORIES, isthing=None) == ({**zero, 'n': 0}, {1: zero, 2: zero})


def test_an_empty_prediction_misses_everything(quality):
    stat = quality([[1, 1, 2, 0]], [[0, 0, 0, 0]], {1: (1, 0), 2: (2, 0)}, {})
    assert counts(stat) == (0, 0, 1, 0) and counts(stat, 2) == (0, 0, 1, 0)
    assert stat.pq_average(CATEGORIES, isthing=None)[0] == dict(pq=0, sq=0, rq=0, n=2)


def test_the_category_must_agree(quality):
    stat = quality([[1, 1]], [[5, 5]], {1: (1, 0)}, {5: (2, 0)})
    assert counts(stat) == (0, 0, 1, 0) and counts(stat, 2) == (0, 1, 0, 0)


def test_iou_of_exactly_one_half_is_no_match(quality):
    assert counts(quality([[1, 1, 2, 2]], [[3, 0, 0, 0]], {1: (1, 0), 2: (2, 0)}, {3: (1, 0)})) == (0, 1, 1, 0)
    assert counts(quality([[1, 1, 1, 2]], [[3, 3, 0, 0]], {1: (1, 0), 2: (2, 0)}, {3: (1, 0)})) == (1, 0, 0, 2 / 3)


def test_void_leaves_the_union_and_excuses_predictions(quality):
    # 5 covers 1 (2 px) and 2 px of void: the union is 2; 6 lies mostly in void: no false alarm; 7 half in it: one
    truth = [[1, 1, 0, 0, 0, 0, 2, 0, 2]]
    predicted = [[5, 5, 5, 5, 6, 6, 6, 7, 7]]
    stat = quality(truth, predicted, {1: (1, 0), 2: (2, 0)}, {5: (1, 0), 6: (1, 0), 7: (1, 0)})
    assert counts(stat) == (1, 1, 0, 1.0)


def test_void_and_crowd_excuse_together(quality):
    truth = [[0, 8, 2, 2]]  # half of 5 is excused by either alone, and half is not enough
    predicted = [[5, 5, 5, 0]]
    assert counts(quality(truth, predicted, {8: (1, 1), 2: (2, 0)}, {5: (1, 0)})) == (0, 0, 0, 0)
    assert counts(quality(truth, predicted, {8: (2, 1), 2: (2, 0)}, {5: (1, 0)})) == (0, 1, 0, 0)  # another category's crowd


def test_only_the_last_crowd_region_of_a_category_excuses(quality):
    truth = [[8, 8, 8, 9, 9, 9, 2, 2]]
    predicted = [[5, 5, 5, 6, 6, 6, 0, 0]]
    stat = quality(truth, predicted, {8: (1, 1), 9: (1, 1), 2: (2, 0)}, {5: (1, 0), 6: (1, 0)})
    assert counts(stat) == (0, 1, 0, 0)  # 6 in the last crowd is excused, 5 in the first is not
    stat = quality(truth, predicted, {8: (1, 1), 9: (2, 1), 2: (2, 0)}, {5: (1, 0), 6: (2, 0)})
    assert counts(stat) == (0, 0, 0, 0) and counts(stat, 2) == (0, 0, 1, 0)  # one crowd each


@pytest.mark.parametrize('side', ['annotation', 'prediction'])
def test_ids_that_start_at_zero_are_refused(quality, side):
    segments = [{1: (1, 0)}, {1: (1, 0)}]
    segments[side == 'prediction'] = {0: (2, 0), 1: (1, 0)}
    with pytest.raises(ValueError, match=f'image 7.*the {side} has a segment with id 0'):
        quality([[1, 1, 0]], [[1, 1, 0]], *segments)


def test_segments_in_one_place_only_are_named(quality):
    with pytest.raises(KeyError, match=r'4\b.*in (the )?PNG'):
        quality([[1, 1]], [[1, 4]], {1: (1, 0)}, {1: (1, 0)})
    with pytest.raises(KeyError, match=r'\[4\] are (presented )?in (the )?JSON'):
        quality([[1, 1]], [[1, 1]], {1: (1, 0)}, {1: (1, 0), 4: (1, 0)})
    with pytest.raises(KeyError, match='unknown category_id 3'):
        quality([[1, 1]], [[1, 1]], {1: (1, 0)}, {1: (3, 0)})


def test_images_of_different_size_are_refused(tmp_path):
    pair = write_pair(tmp_path, [[1, 1]], [[1, 1, 1]], {1: (1, 0)}, {1: (1, 0)})
    with pytest.raises(ValueError, match=r'image 7: the annotation is \(1, 2\), the prediction \(1, 3\)'):
        run('fallback', tmp_path, pair)


def test_both_counters_agree_on_random_images(tmp_path):
    rng = np.random.default_rng(0)
    found = np.zeros(3)
    for _ in range(60):
        truth = np.kron(rng.integers(0, 7, (3, 3)), np.ones((4, 4), int))  # blocks, 0 is void
        predicted = np.where(rng.random(truth.shape) < rng.uniform(0.1, 0.7), rng.integers(0, 9, truth.shape), truth)
        true_segments = {k: (k % 2 + 1, int(rng.random() < 0.3)) for k in np.unique(truth).tolist() if k}
        predicted_segments = {k: (k % 2 + 1, 0) for k in np.unique(predicted).tolist() if k}
        pair = write_pair(tmp_path, truth.tolist(), predicted.tolist(), true_segments, predicted_segments)
        one, two = (run(counter, tmp_path, pair) for counter in COUNTERS)
        for category in CATEGORIES:
            assert counts(one, category) == counts(two, category)
            found += counts(one, category)[:3]
    assert min(found) > 20  # matches, false alarms and misses all occurred


def test_counts_add_up():
    one, two = PQStat(), PQStat()
    one[1].tp, one[1].iou, two[1].tp, two[1].iou, two[2].fp = 1, 0.6, 2, 1.5, 3
    one += two
    assert counts(one) == (3, 0, 0, 2.1) and counts(one, 2) == (0, 3, 0, 0)
