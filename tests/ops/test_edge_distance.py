import math
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from mmext_instseg.ops import edge_distance, edge_weight

INF = math.inf


def naive_boundary(segments: torch.Tensor) -> torch.Tensor:
    """Pixel by pixel, as the rule is written."""
    height, width = segments.shape
    boundary = torch.zeros(height, width, dtype=torch.bool)
    for y in range(height):
        for x in range(width):
            neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            others = {int(segments[i, j]) for i, j in neighbours if 0 <= i < height and 0 <= j < width} - {-1, int(segments[y, x])}
            boundary[y, x] = bool(others) and segments[y, x] != -1
    return boundary


def naive_distance(segments: torch.Tensor) -> torch.Tensor:
    boundary = naive_boundary(segments)
    if not boundary.any():
        return torch.full(segments.shape, INF)
    return torch.from_numpy(distance_transform_edt(~boundary.numpy())).float()


def blobs(num: int, height: int, width: int) -> torch.Tensor:
    """(num, H, W) rectangles over each other, one of them ignored."""
    generator = torch.Generator().manual_seed(0)
    segments = torch.zeros(num, height, width, dtype=torch.int32)
    for image in segments:
        for label in (1, 2, 3, 4, -1):
            y, x = (int(torch.randint(size, (), generator=generator)) for size in (height, width))
            image[y : y + height // 3, x : x + width // 3] = label
    return segments


def test_by_hand():
    segments = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 7]])
    squared = torch.tensor([[13.0, 8, 5, 2, 1], [10, 5, 2, 1, 0], [9, 4, 1, 0, 0]])
    torch.testing.assert_close(edge_distance(segments[None])[0], squared.sqrt())


def test_both_sides_of_a_boundary_are_0_and_neither_ignored_pixels_nor_the_border_make_one():
    segments = torch.tensor([[[1, 1, 2, 2, -1, 2, 3]], [[1, 1, 1, -1, -1, 2, 2]], [[5, 5, 5, 5, 5, 5, 5]]])
    assert edge_distance(segments)[:, 0].tolist() == [[1, 0, 0, 1, 1, 0, 0], [INF] * 7, [INF] * 7]


@pytest.mark.parametrize('shape', [(37, 53), (53, 37), (1, 19), (19, 1), (1, 1)])
def test_equals_scipy(shape):
    segments = blobs(3, *shape)
    distances = edge_distance(segments)
    assert distances.shape == segments.shape and distances.dtype == torch.float32 and distances.is_contiguous()
    torch.testing.assert_close(distances, torch.stack([naive_distance(one) for one in segments]), rtol=2e-7, atol=0)


@settings(deadline=None, max_examples=60)
@given(arrays('int64', st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(-1, 2)))
def test_equals_scipy_on_any_map(ids):
    segments = torch.from_numpy(ids)
    squared = edge_distance(segments[None])[0].square()
    torch.testing.assert_close(squared, naive_distance(segments).square(), rtol=1e-6, atol=0)


@pytest.mark.parametrize('chunk', [1, 2000])
def test_chunks_change_nothing(chunk, monkeypatch):
    segments = blobs(2, 23, 31)
    whole = edge_distance(segments)
    monkeypatch.setattr(import_module('mmext_instseg.ops.edge_distance'), '_CHUNK', chunk)
    assert torch.equal(edge_distance(segments), whole)


def test_an_empty_batch_is_an_empty_batch():
    assert edge_distance(torch.zeros(0, 4, 5, dtype=torch.int32)).shape == (0, 4, 5)


def test_equation_5_by_hand():
    distance = torch.tensor([0.0, 20.0, 40.0, INF])
    torch.testing.assert_close(edge_weight(distance), torch.tensor([1, math.exp(-1), math.exp(-4), 0]))
    expected = torch.tensor([0.5 + 0.5 * value for value in (1, math.exp(-0.25), math.exp(-1), 0)])
    torch.testing.assert_close(edge_weight(distance, d=40, w_min=0.5), expected)
