import math

import pytest
import torch
from mmdet.models.layers import mask_matrix_nms

from mmext_instseg.ops import mask_iou, matrix_nms


def masks_of(*spans: tuple[int, int]) -> torch.Tensor:
    masks = torch.zeros(len(spans), 1, 12, dtype=torch.bool)
    for mask, (start, end) in zip(masks, spans, strict=True):
        mask[0, start:end] = True
    return masks


def test_decay_by_hand():
    masks = masks_of((0, 4), (2, 6), (0, 4))
    scores = torch.tensor([0.9, 0.8, 0.7])
    iou = 2 / 6
    decayed = matrix_nms(masks, torch.zeros(3, dtype=torch.int64), scores)
    # the third repeats the first (IoU 1), and is covered by the second as well
    expected = [0.9, 0.8 * math.exp(-2 * iou**2), 0.7 * min(math.exp(-2.0), math.exp(-2 * (iou**2 - iou**2)))]
    torch.testing.assert_close(decayed, torch.tensor(expected))
    linear = matrix_nms(masks, torch.zeros(3, dtype=torch.int64), scores, kernel='linear')
    torch.testing.assert_close(linear, torch.tensor([0.9, 0.8 * (1 - iou), 0.0]))


def test_other_classes_and_order_do_not_matter():
    masks, scores = masks_of((0, 4), (0, 4), (8, 12)), torch.tensor([0.5, 0.9, 0.7])
    assert torch.equal(matrix_nms(masks, torch.tensor([0, 1, 2]), scores), scores)
    decayed = matrix_nms(masks, torch.tensor([0, 0, 0]), scores)
    torch.testing.assert_close(decayed, torch.tensor([0.5 * math.exp(-2.0), 0.9, 0.7]))


@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
def test_equals_mmdet(kernel):
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(40, 16, 16, generator=generator) > torch.rand(40, 1, 1, generator=generator)
    labels, scores = torch.randint(0, 3, (40,), generator=generator), torch.rand(40, generator=generator)
    theirs, _, _, kept = mask_matrix_nms(masks.float(), labels, scores, kernel=kernel)
    torch.testing.assert_close(matrix_nms(masks, labels, scores, kernel=kernel)[kept], theirs)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_full_frame_masks_under_autocast(dtype):
    masks = torch.ones(2, 600, 500, dtype=torch.bool)  # more pixels than are counted at once
    masks[1, 0, 0] = False
    with torch.autocast('cpu', dtype=dtype):
        iou = mask_iou(masks)
    assert iou[0, 1] == torch.tensor(299999 / 300000)
    assert torch.isfinite(iou).all()


def test_nothing_in_nothing_out_and_unknown_kernel():
    empty = matrix_nms(torch.zeros(0, 4, 4, dtype=torch.bool), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    assert empty.shape == (0,) and empty.dtype == torch.float32
    with pytest.raises(ValueError, match='box'):
        matrix_nms(masks_of((0, 1)), torch.zeros(1, dtype=torch.int64), torch.ones(1), kernel='box')
