import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely import LinearRing, Point, Polygon

from mmext_instseg.structures import InstanceMap, decode_segmentation, join_rings, trace_instances, trace_mask

MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda shape: arrays(bool, shape))


def disc(size: int, radius: float, hole: float = 0) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return (x * x + y * y <= radius**2) & (x * x + y * y >= hole**2)


def test_ring_with_a_hole_by_hand():
    mask = np.ones((3, 4), bool)
    mask[1, 1:3] = False
    (rings,) = trace_mask(np.pad(mask, ((2, 0), (1, 0))))
    outer, hole = [{tuple(corner) for corner in ring.tolist()} for ring in rings]
    assert outer == {(1, 2), (5, 2), (5, 5), (1, 5)} and hole == {(2, 3), (4, 3), (4, 4), (2, 4)}


def test_pixels_that_touch_at_a_corner_are_two_parts():
    parts = trace_mask(np.eye(2, dtype=bool))
    assert [[ring.min(0).tolist() for ring in rings] for rings in parts] == [[[0, 0]], [[1, 1]]]
    assert trace_mask(np.zeros((3, 3), bool)) == []


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_outlines_give_the_mask_back(mask):
    parts = trace_mask(mask)
    assert all(Polygon(rings[0], rings[1:]).is_valid for rings in parts)
    assert sum(Polygon(rings[0], rings[1:]).area for rings in parts) == mask.sum()
    if parts:
        polygons = [join_rings(rings).ravel().tolist() for rings in parts]
        assert np.array_equal(decode_segmentation(polygons, *mask.shape), mask)


def test_only_corners_are_kept():
    (rings,) = trace_mask(np.ones((50, 70), bool))
    assert len(rings) == 1 and len(rings[0]) == 4


def test_instances_with_several_parts_and_none():
    ids = torch.tensor([[1, 0, 1, -1], [2, 2, 2, -1], [2, 0, 2, 0], [2, 2, 2, 4]])
    outlines = trace_instances(InstanceMap.from_ids(ids, torch.tensor([0, 0, 0, 1])))
    assert [len(parts) for parts in outlines] == [2, 1, 0, 1]
    assert [len(rings) for rings in outlines[1]] == [2]
    for number, parts in enumerate(outlines, 1):
        if parts:
            polygons = [join_rings(rings).ravel().tolist() for rings in parts]
            assert np.array_equal(decode_segmentation(polygons, 4, 4), (ids == number).numpy())


@pytest.mark.parametrize('tolerance', [0.8, 2.5])
def test_simplified_outlines_stay_within_the_tolerance(tolerance):
    """Only pixels near the exact outline may change, and there are far fewer corners."""
    mask = disc(101, 45, hole=15)
    instances = InstanceMap.from_ids(torch.from_numpy(mask).int(), torch.tensor([0]))
    ((exact,),), ((simple,),) = trace_instances(instances), trace_instances(instances, tolerance)
    assert len(simple) == 2 and sum(map(len, simple)) < 0.5 * sum(map(len, exact))
    assert Polygon(simple[0], simple[1:]).is_valid
    changed = np.argwhere(decode_segmentation([join_rings(simple).ravel().tolist()], 101, 101) != mask)
    assert len(changed)
    near = [min(LinearRing(ring).distance(Point(x + 0.5, y + 0.5)) for ring in exact) for y, x in changed.tolist()]
    assert max(near) <= tolerance + 0.3  # pycocotools draws in steps of 0.2 px


@pytest.mark.parametrize('tolerance', [-1, float('nan'), float('inf')])
def test_a_tolerance_out_of_range(tolerance):
    with pytest.raises(ValueError, match='tolerance must be 0 or more pixels'):
        trace_instances(InstanceMap.from_ids(torch.ones(2, 2), torch.tensor([0])), tolerance)
