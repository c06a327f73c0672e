"""Panoptic quality by hand, through mmdet's counting."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.evaluation.metrics import coco_panoptic_metric
from panopticapi.evaluation import PQStat
from panopticapi.utils import IdGenerator, id2rgb, rgb2id

CATEGORIES = {1: dict(id=1, isthing=1, color=[220, 20, 60]), 2: dict(id=2, isthing=0, color=[0, 90, 10])}


def quality(tmp_path: Path, truth: list, predicted: list, truth_segments: dict, predicted_segments: dict) -> PQStat:
    """Counts of one image: ids as nested lists; segments as id -> (category, iscrowd)."""
    pair = []
    for name, ids, segments in (('gt', truth, truth_segments), ('pred', predicted, predicted_segments)):
        ids = np.array(ids)
        (tmp_path / name).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name / 'a.png'), id2rgb(ids)[..., ::-1])
        infos = [dict(id=k, category_id=c, iscrowd=crowd, area=int((ids == k).sum())) for k, (c, crowd) in segments.items()]
        pair.append(dict(image_id=7, file_name='a.png', segments_info=infos))
    return coco_panoptic_metric.pq_compute_single_core(0, [tuple(pair)], str(tmp_path / 'gt'), str(tmp_path / 'pred'), CATEGORIES)


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


def test_match_miss_and_false_alarm(tmp_path):
    truth = [[1, 1, 1, 1, 2, 2, 2, 2]]
    predicted = [[5, 5, 5, 6, 6, 6, 2, 2]]  # 5 and 1: 3 / 4; 6 and 2: 2 / 5
    stat = quality(tmp_path, truth, predicted, {1: (1, 0), 2: (1, 0)}, {5: (1, 0), 6: (1, 0), 2: (2, 0)})
    assert counts(stat) == (1, 1, 1, 0.75)
    average, per_category = stat.pq_average(CATEGORIES, isthing=True)
    assert per_category == {1: dict(pq=0.75 / 2, sq=0.75, rq=0.5)} and average['n'] == 1
    average, _ = stat.pq_average(CATEGORIES, isthing=None)
    assert average == dict(pq=0.75 / 4, sq=0.375, rq=0.25, n=2)  # the stuff segment is a false alarm
    assert stat.pq_average({}, isthing=None)[0] == dict(pq=0, sq=0, rq=0, n=0)


def test_iou_of_exactly_one_half_is_no_match(tmp_path):
    assert counts(quality(tmp_path, [[1, 1, 0, 0]], [[0, 0, 0, 3]], {1: (1, 0)}, {3: (1, 0)})) == (0, 0, 1, 0)
    stat = quality(tmp_path, [[1, 1, 2, 2]], [[3, 0, 0, 0]], {1: (1, 0), 2: (2, 0)}, {3: (1, 0)})
    assert counts(stat) == (0, 1, 1, 0)


def test_void_leaves_the_union_and_excuses_predictions(tmp_path):
    # 5 covers 1 (2 px) and 2 px of void: the union is 2; 6 lies mostly in void: no false alarm; 7 half in it: one
    truth = [[1, 1, 0, 0, 0, 0, 2, 0, 2]]
    predicted = [[5, 5, 5, 5, 6, 6, 6, 7, 7]]
    stat = quality(tmp_path, truth, predicted, {1: (1, 0), 2: (2, 0)}, {5: (1, 0), 6: (1, 0), 7: (1, 0)})
    assert counts(stat) == (1, 1, 0, 1.0)


def test_only_the_last_crowd_region_of_a_category_excuses(tmp_path):
    truth = [[8, 8, 8, 9, 9, 9, 2, 2]]
    predicted = [[5, 5, 5, 6, 6, 6, 0, 0]]
    stat = quality(tmp_path, truth, predicted, {8: (1, 1), 9: (1, 1), 2: (2, 0)}, {5: (1, 0), 6: (1, 0)})
    assert counts(stat) == (0, 1, 0, 0)  # 6 in the last crowd is excused, 5 in the first is not
    stat = quality(tmp_path, truth, predicted, {8: (1, 1), 9: (2, 1), 2: (2, 0)}, {5: (1, 0), 6: (2, 0)})
    assert counts(stat) == (0, 0, 0, 0) and counts(stat, 2) == (0, 0, 1, 0)  # one crowd each


@pytest.mark.parametrize('side', ['annotation', 'prediction'])
def test_ids_that_start_at_zero_are_refused(tmp_path, side):
    segments = [{1: (1, 0)}, {1: (1, 0)}]
    segments[side == 'prediction'] = {0: (2, 0), 1: (1, 0)}
    with pytest.raises(ValueError, match=f'image 7: the {side} .* number from 1'):
        quality(tmp_path, [[1, 1]], [[1, 1]], *segments)


def test_segments_in_one_place_only_are_named(tmp_path):
    with pytest.raises(KeyError, match='segment with ID 4 is presented in PNG'):
        quality(tmp_path, [[1, 1]], [[1, 4]], {1: (1, 0)}, {1: (1, 0)})
    with pytest.raises(KeyError, match=r'\[4\] are presented in JSON'):
        quality(tmp_path, [[1, 1]], [[1, 1]], {1: (1, 0)}, {1: (1, 0), 4: (1, 0)})


def test_counts_add_up():
    one, two = PQStat(), PQStat()
    one[1].tp, one[1].iou, two[1].tp, two[1].iou, two[2].fp = 1, 0.6, 2, 1.5, 3
    one += two
    assert counts(one) == (3, 0, 0, 2.1) and counts(one, 2) == (0, 3, 0, 0)
