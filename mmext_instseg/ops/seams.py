"""Overlapping tiles of an image, and which objects of two of them are one.

Everything here runs on the host, where the tiles' results come together.
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along an axis: every tile - overlap pixels; the last is shifted inwards, so that all have one size.

    Args:
        length: of the axis.
        tile: size of a tile; longer than the axis: one tile, as long as the axis.
        overlap: what two neighbours share at least.

    Raises:
        ValueError: no pixels; an overlap that isn't from 2 to tile - 1. Two pixels are needed for objects that hold together at a corner.
    """
    if length < 1:
        raise ValueError(f'the image has {length} pixels along an axis')
    if not 2 <= overlap < tile:
        raise ValueError(f'an overlap of {overlap} pixels does not fit tiles of {tile}; it must be from 2 to {tile - 1}')
    last = max(length - tile, 0)
    return [*range(0, last, tile - overlap), last]


def core_edges(starts: list[int], tile: int, length: int) -> list[int]:
    """Edges of the tiles' cores, the pixels whose nearest tile centre is theirs: halfway between neighbours, in the overlap's middle.

    Args:
        starts: n tiles, of `tile_starts`.

    Returns:
        n + 1 edges from 0 to `length`; they cut the axis into n cores. Between tiles on a grid the nearest centre is the nearest along
        each axis.
    """
    return [0, *((before + after + tile) // 2 for before, after in pairwise(starts)), length]


def label_pieces(ids: np.ndarray) -> tuple[np.ndarray, int]:
    """Connected pieces (4 neighbours) of every object.

    Pixels stand at the even places of a grid of twice the size, links between equal neighbours at the odd ones, so that touching objects
    stay apart.

    Args:
        ids: (H, W) integers; objects are above 0.

    Returns:
        (H, W) int32, 0 none, 1..P the piece; P. Temporary memory: 20 bytes * H * W.
    """
    inside = ids > 0
    links = np.zeros([2 * side - 1 for side in ids.shape], np.uint8)
    links[::2, ::2] = inside
    links[::2, 1::2] = inside[:, 1:] & (ids[:, 1:] == ids[:, :-1])
    links[1::2, ::2] = inside[1:] & (ids[1:] == ids[:-1])
    count, pieces = cv2.connectedComponents(links, connectivity=4)
    return pieces[::2, ::2], count - 1


def match_pieces(first: Tensor, second: Tensor, agreement: float = 0.5) -> Tensor:
    """Objects of two maps of one region, such as the overlap of two tiles, of which a connected piece agrees.

    Pieces agree where each covers more than `agreement` of the other, which an IoU above `agreement` implies. From 1/2 on, a piece agrees
    with one other at most, so that objects that touch are not joined. Pieces are compared, not objects, since an object that a tile's
    border cuts into two is whole in the next tile (ours).

    Args:
        first, second: (h, w) integers, objects are above 0; on the CPU.
        agreement: in [0.5, 1).

    Returns:
        (M, 2) int64 ids; a pair of which several pieces agree stands there several times. Memory: about 80 bytes * h * w.
    """
    one, other = first.numpy(), second.numpy()
    (pieces, num), (others, num_others) = label_pieces(one), label_pieces(other)
    both = (pieces > 0) & (others > 0)
    pairs, shared = np.unique(pieces[both].astype(np.int64) * (num_others + 1) + others[both], return_counts=True)
    left, right = pairs // (num_others + 1), pairs % (num_others + 1)
    areas = np.bincount(pieces.ravel(), minlength=num + 1)[left], np.bincount(others.ravel(), minlength=num_others + 1)[right]
    agree = (shared > agreement * areas[0]) & (shared > agreement * areas[1])
    owner, owner_of_others = np.zeros(num + 1, np.int64), np.zeros(num_others + 1, np.int64)
    owner[pieces], owner_of_others[others] = one, other  # all pixels of a piece have the same id
    return torch.from_numpy(np.stack([owner[left[agree]], owner_of_others[right[agree]]], axis=1))


def join_pairs(pairs: Tensor, num: int) -> tuple[Tensor, int]:
    """Connected components of a graph.

    Args:
        pairs: (M, 2) integers, edges between nodes 0..num - 1; on the CPU.

    Returns:
        (num,) int64 component of each node, numbered in the order of their first nodes; how many there are.
    """
    rows, cols = pairs.T.numpy()
    graph = coo_matrix((np.ones(len(pairs), np.int8), (rows, cols)), shape=(num, num))
    count, component = connected_components(graph, directed=False)
    return torch.from_numpy(component.astype(np.int64)), count
