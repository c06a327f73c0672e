import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.codecs import box_clusters
from mmext_instseg.codecs.box_clusters import best_in_image, best_rows, box_iou, box_nms, count_boxes
from mmext_instseg.ops import matrix_nms


def random_boxes(seed: int, num: int, side: int) -> torch.Tensor:
    """(4, num) with whole corners."""
    corner = torch.randint(0, side - 1, (2, num), generator=torch.Generator().manual_seed(seed))
    size = (torch.rand(2, num, generator=torch.Generator().manual_seed(seed + 1)) * (side - corner)).long() + 1
    return torch.cat([corner, torch.minimum(corner + size, torch.tensor(side))]).float()


def test_iou_by_hand():
    boxes = torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6], [4, 0, 8, 4], [0, 0, 0, 0]]).T
    assert box_iou(boxes[:, :1], boxes).tolist() == pytest.approx([1, 4 / 28, 0, 0])


def test_equal_boxes_are_counted_and_others_are_not():
    boxes = torch.tensor([[0.0, 0, 4, 4], [-2, 2, 6.125, 6], [0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4]]).T
    votes, image, means = count_boxes(boxes, torch.tensor([0, 0, 0, 1, 1]), side=8)
    assert sorted(zip(image.tolist(), votes.tolist(), *means.tolist(), strict=True)) == [
        (0, 1, -2, 2, 6.125, 6),
        (0, 2, 0, 0, 4, 4),
        (1, 2, 0, 0, 4, 4),
    ]


@pytest.mark.parametrize('side', [5, 352, 4096])
def test_boxes_of_one_bin_agree(side):
    generator = torch.Generator().manual_seed(side)
    first = random_boxes(0, 20_000, side)
    scale = (first[2:] - first[:2]).repeat(2, 1)
    second = first + (0.3 * scale * (torch.rand(first.shape, generator=generator) - 0.5) * 8).round() / 8
    second = torch.cat([second[:2], torch.maximum(second[2:], second[:2] + 1)])
    pair = torch.arange(20_000).repeat_interleave(2)
    votes, image, _ = count_boxes(torch.stack([first, second], dim=2).flatten(1), pair, side)
    together = image[votes == 2]
    iou = box_iou(first, second)[together]
    assert len(together) > 500 and iou.min() > 0.61
    assert (box_iou(first, second) < 0.9)[together].any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 9), min_size=1, max_size=4), st.sampled_from([1, 5, 2**16]))
def test_nms_is_that_of_masks(seed, counts, pairs):
    num, side = sum(counts), 24
    boxes = random_boxes(seed, num, side)
    image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    masks = torch.zeros(num, side, side, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.T.long().tolist(), strict=True):
        mask[y1:y2, x1:x2] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box_clusters, '_PAIRS', pairs)
        factor = box_nms(boxes, image, len(counts))
    expected = matrix_nms(masks, image, torch.linspace(1, 0.5, num)) / torch.linspace(1, 0.5, num)
    torch.testing.assert_close(factor, expected)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**31),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=6),
    st.sampled_from([1, 3, 10, 60, 2**16]),
)
def test_the_best_row_is_that_of_the_own_image(seed, sizes, pairs):
    generator = torch.Generator().manual_seed(seed)
    image, table_image = (
        torch.arange(len(sizes)).repeat_interleave(torch.tensor([one[which] for one in sizes], dtype=torch.int64)) for which in (0, 1)
    )
    values, table = (torch.randint(0, 8, (len(index),), generator=generator).float() for index in (image, table_image))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box_clusters, '_PAIRS', pairs)
        row, best = best_in_image(lambda part, rows: -(rows[0] - values[part]).abs(), image, table[None], table_image, len(sizes))
    for pixel in range(len(image)):
        own = (table_image == image[pixel]).nonzero()[:, 0].tolist()
        away = [abs(float(table[k] - values[pixel])) for k in own]
        if own:
            assert row[pixel] == own[away.index(min(away))] and best[pixel] == -min(away)  # the first on a tie
        else:
            assert row[pixel] == -1 and best[pixel] == -math.inf


def test_rooms_are_not_exceeded():
    pieces = list(box_clusters._pieces([5, 0, 100, 7, 3, 3], [0, 4, 10, 0, 2, 1], room=200))
    covered = [pixel for part, _ in pieces for pixel in range(part.start, part.stop)]
    assert covered == [*range(5, 105), *range(112, 118)]  # images without rows have nothing to join
    assert all((part.stop - part.start) * width <= 200 for part, width in pieces)
    assert list(box_clusters._pieces([4], [9], room=1)) == [(slice(k, k + 1), 9) for k in range(4)]
    assert list(box_clusters._pieces([4, 0], [0, 3], room=9)) == []


def test_best_rows_by_hand():
    rows = best_rows(torch.tensor([3, 5, 5, 1, 9]), torch.tensor([0, 0, 0, 2, 2]), num=4, most=2)
    assert rows.tolist() == [1, 2, 4, 3]
