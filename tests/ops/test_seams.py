from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mmext_instseg.ops import core_edges, join_pairs, label_pieces, match_pieces, tile_starts


@pytest.mark.parametrize(
    ('length', 'starts'), [(10, [0, 2, 4, 6]), (11, [0, 2, 4, 6, 7]), (5, [0, 1]), (4, [0]), (3, [0]), (1, [0])], ids=str
)
def test_tile_starts_by_hand(length, starts):
    assert tile_starts(length, 4, 2) == starts


def test_core_edges_by_hand():
    """Tiles of 4 at 0, 2, 4, 6, 7 have their centres at 2, 4, 6, 8, 9; 8.5 falls to the later tile."""
    assert core_edges([0, 2, 4, 6, 7], 4, 11) == [0, 3, 5, 7, 8, 11]
    assert core_edges([0], 4, 3) == [0, 3]


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 60), st.integers(3, 25))
def test_tiles_cover_and_cores_are_nearest(data, length, tile):
    overlap = data.draw(st.integers(2, tile - 1))
    starts = tile_starts(length, tile, overlap)
    size = min(tile, length)
    edges = core_edges(starts, size, length)
    assert starts[0] == 0 and starts[-1] + size == length
    assert all(after - before <= tile - overlap for before, after in pairwise(starts))
    for number, start in enumerate(starts):
        assert start <= edges[number] < edges[number + 1] <= start + size
        for pixel in range(edges[number], edges[number + 1]):
            away = [abs(2 * pixel + 1 - 2 * other - size) for other in starts]
            assert away[number] == min(away)


@pytest.mark.parametrize(
    ('length', 'tile', 'overlap', 'message'),
    [(0, 4, 2, 'the image has 0 pixels'), (9, 4, 1, 'must be from 2 to 3'), (9, 4, 4, 'must be from 2 to 3'), (9, 2, 2, 'tiles of 2')],
)
def test_tiles_that_can_not_be(length, tile, overlap, message):
    with pytest.raises(ValueError, match=message):
        tile_starts(length, tile, overlap)


def test_pieces_by_hand():
    """1 touches 2 and has a piece of its own at a corner; -1 is nobody."""
    pieces, count = label_pieces(np.array([[1, 1, 2], [0, -1, 2], [1, 2, 0]]))
    assert pieces.tolist() == [[1, 1, 2], [0, 0, 2], [3, 4, 0]] and count == 4


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_pieces_equal_labelling_each_object(seed, height, width, num):
    ids = np.random.default_rng(seed).integers(-1, num + 1, (height, width))
    pieces, count = label_pieces(ids)
    assert ((pieces > 0) == (ids > 0)).all() and set(pieces[pieces > 0].tolist()) == set(range(1, count + 1))
    found = 0
    for number in range(1, num + 1):
        expected, pieces_of_one = ndimage.label(ids == number)
        assert len(set(zip(expected[ids == number].tolist(), pieces[ids == number].tolist(), strict=True))) == pieces_of_one
        found += pieces_of_one
    assert count == found


def pairs_of(first, second, agreement=0.5):
    return match_pieces(torch.tensor(first, dtype=torch.int32), torch.tensor(second, dtype=torch.int32), agreement).tolist()


def test_matches_need_more_than_half_of_both():
    assert pairs_of([[5, 5, 5, 0]], [[0, 7, 7, 0]]) == [[5, 7]]  # 2 of 3, 2 of 2
    assert pairs_of([[5, 5, 5, 5]], [[0, 0, 7, 7]]) == []  # 2 of 4
    assert pairs_of([[5, 5, 5, 0]], [[0, 7, 7, 0]], agreement=0.7) == []
    assert pairs_of([[0, 0]], [[0, 3]]) == []


def test_touching_objects_match_their_own():
    """The border between them lies a pixel further to the right in the second map."""
    assert pairs_of([[1, 1, 1, 2, 2, 2]], [[3, 3, 3, 3, 4, 4]]) == [[1, 3], [2, 4]]


def test_pieces_of_an_object_match_one_by_one():
    """The legs of a U: two objects in one map, one in the other."""
    assert pairs_of([[1, 1, 0, 2]], [[9, 9, 0, 9]]) == [[1, 9], [2, 9]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 10), st.integers(1, 10))
def test_matches_equal_a_loop(seed, height, width):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 3, (height, width))
    second = np.where(rng.random((height, width)) < 0.8, first, rng.integers(0, 3, (height, width))) * 10
    expected = []
    for one in (1, 2):
        for other in (10, 20):
            parts, num = ndimage.label(first == one)
            others, num_others = ndimage.label(second == other)
            for a in range(1, num + 1):
                for b in range(1, num_others + 1):
                    shared = ((parts == a) & (others == b)).sum()
                    if shared > 0.5 * (parts == a).sum() and shared > 0.5 * (others == b).sum():
                        expected.append([one, other])
    assert sorted(pairs_of(first, second)) == sorted(expected)


def test_components_by_hand():
    component, count = join_pairs(torch.tensor([[3, 1], [1, 4], [3, 1]]), 6)
    assert component.tolist() == [0, 1, 2, 1, 1, 3] and count == 4
    assert join_pairs(torch.zeros((0, 2), dtype=torch.int64), 2)[0].tolist() == [0, 1]
    assert join_pairs(torch.zeros((0, 2), dtype=torch.int64), 0)[1] == 0
