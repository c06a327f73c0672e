import pickle

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.ops import blank_masks, enlarge_masks, mask_boxes, mask_moments, shrink_masks


def random_masks(seed: int, num: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, height, width, generator=generator) < torch.rand(num, 1, 1, generator=generator)


@pytest.mark.parametrize('shape', [(0, 3, 4), (2, 3, 4), (65, 512, 512)])
def test_blank_masks_are_zeros_of_their_own(shape):
    blank, other = (blank_masks(shape, torch.device('cpu')) for _ in range(2))
    assert blank.dtype == torch.bool and blank.shape == shape and not blank.any()
    blank[:] = True
    assert blank.all() and not other.any() and pickle.loads(pickle.dumps(blank[-1:])).all()


@pytest.mark.parametrize('shape', [(3, 5, 7), (2, 600, 16), (2, 3, 4120), (0, 4, 8), (1, 1, 1)])
def test_moments_equal_sums_over_pixels(shape):
    for stack in (random_masks(0, *shape), torch.ones(shape, dtype=torch.bool)):
        areas, sums = mask_moments(stack)
        y, x = torch.meshgrid(torch.arange(shape[1]), torch.arange(shape[2]), indexing='ij')
        assert torch.equal(areas, stack.flatten(1).sum(1))
        assert torch.equal(sums, torch.stack([(stack * x).flatten(1).sum(1), (stack * y).flatten(1).sum(1)], dim=1))


def test_moments_of_a_view():
    stack = random_masks(1, 4, 9, 16)
    whole, view = mask_moments(stack.transpose(1, 2).contiguous()), mask_moments(stack.transpose(1, 2))
    assert torch.equal(whole[0], view[0]) and torch.equal(whole[1], view[1])


def test_boxes_by_hand():
    stack = torch.zeros(4, 6, 8, dtype=torch.bool)
    stack[0, 1:3, 2:7], stack[1, 5, 7] = True, True
    stack[3, 0, 0] = stack[3, 5, 3] = True
    assert mask_boxes(stack).tolist() == [[2, 1, 7, 3], [7, 5, 8, 6], [0, 0, 0, 0], [0, 0, 4, 6]]
    assert mask_boxes(stack[:0]).shape == (0, 4) and mask_boxes(stack).dtype == torch.float32


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), stride=st.integers(1, 9), shape=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_shrinking_equals_opencv(seed, stride, shape):
    stack = random_masks(seed, 3, shape[0] * stride, shape[1] * stride)
    theirs = [cv2.resize(one.numpy().astype(np.uint8), shape[::-1], interpolation=cv2.INTER_LINEAR) for one in stack]
    assert torch.equal(shrink_masks(stack, stride, shape), torch.from_numpy(np.stack(theirs)).bool())


def test_shrinking_pads_and_cuts():
    stack = torch.ones(1, 5, 9, dtype=torch.bool)  # row 4 alone is no half of the second block
    assert shrink_masks(stack, 4, (2, 2)).tolist() == [[[True, True], [False, False]]]


def test_enlarging_in_pieces(monkeypatch):
    probs = torch.rand(11, 6, 7, generator=torch.Generator().manual_seed(0))
    whole = enlarge_masks(probs, 4, (22, 27), (31, 40), 0.5)
    expected = F.interpolate(F.interpolate(probs[None], size=(24, 28), mode='bilinear')[:, :, :22, :27], size=(31, 40), mode='bilinear')
    assert torch.equal(whole, expected[0] > 0.5)
    real, sizes = F.interpolate, []

    def counting(image, **kwargs):
        sizes.append(image.shape[1])
        return real(image, **kwargs)

    monkeypatch.setattr(F, 'interpolate', counting)
    for bound, pieces in ((3 * (24 * 28 + 31 * 40), [3, 3, 3, 2]), (1, [1] * 11)):
        sizes.clear()
        assert torch.equal(enlarge_masks(probs, 4, (22, 27), (31, 40), 0.5, max_values=bound), whole)
        assert sizes[::2] == pieces  # each is enlarged twice


def test_enlarging_nothing():
    empty = enlarge_masks(torch.zeros(0, 6, 7), 4, (22, 27), (31, 40), 0.5)
    assert empty.shape == (0, 31, 40) and empty.dtype == torch.bool


def test_moments_of_a_part_of_a_stack():
    """Views that don't start at a multiple of eight bytes."""
    stack = torch.rand(3, 3, 8, generator=torch.Generator().manual_seed(0)) > 0.5
    flat = torch.cat([torch.zeros(3, dtype=torch.bool), stack.flatten()])[3:].view(3, 3, 8)
    assert flat.storage_offset() == 3
    assert all(torch.equal(a, b) for a, b in zip(mask_moments(flat), mask_moments(stack), strict=True))
