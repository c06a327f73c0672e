"""Sums, means and geometry of segments: what a map of integer ids says about each of its objects.

Shapes: N elements, K segments, C channels. Every function is one pass over the elements, whatever K is, and reads nothing back
to the host.
"""

import torch
from torch import Tensor


def segment_sum(values: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Sums of the values that share an index.

    Args:
        values: (N,) or (N, C).
        index: (N,) integers in [0, num_segments).

    Returns:
        (num_segments,) or (num_segments, C), dtype of `values`. Differentiable; deterministic on CPU and for integers.
    """
    out = values.new_zeros((num_segments, *values.shape[1:]))
    return out.index_add(0, index, values)


def segment_mean(values: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Means of the values that share an index, in float32; 0 for a segment without elements. Shapes as `segment_sum`."""
    total = segment_sum(values.float(), index, num_segments)
    count = segment_sum(torch.ones_like(index, dtype=torch.float32), index, num_segments).clamp_(min=1)
    return total / count.view(-1, *[1] * (total.dim() - 1))


def segment_geometry(ids: Tensor, num_segments: int) -> tuple[Tensor, Tensor, Tensor]:
    """Area, centroid and box of every object of an id map.

    Args:
        ids: (H, W) integers: 1..K objects; 0 and -1 count as no object.
        num_segments: K.

    Returns:
        areas (K,) int64, in pixels;
        centroids (K, 2) float32, (x, y) means of pixel indices, exact to float32; 0 where the area is 0;
        boxes (K, 4) float32, (x1, y1, x2, y2) outer pixel edges; 0 where the area is 0.
    """
    width = ids.shape[1]
    start = _run_starts(ids)
    index = ids.flatten()[start].clamp(min=0).long()
    x, y = start % width, start // width
    length = torch.diff(start, append=start.new_full((1,), ids.numel()))
    last = x + length - 1
    areas = segment_sum(length, index, num_segments + 1)[1:]
    # Integer sums are exact where float32 ones lose the last pixels of a large object.
    sums = segment_sum(torch.stack([length * (x + last) // 2, length * y], dim=1), index, num_segments + 1)[1:]
    centroids = (sums.double() / areas.clamp(min=1)[:, None]).float()
    low, high = [], []
    for first, end in ((x, last), (y, y)):
        low.append(first.new_zeros(num_segments + 1).scatter_reduce(0, index, first, 'amin', include_self=False)[1:])
        high.append(end.new_zeros(num_segments + 1).scatter_reduce(0, index, end, 'amax', include_self=False)[1:] + 1)
    boxes = torch.stack(low + high, dim=1).float() * (areas > 0)[:, None]
    return areas, centroids, boxes


def _run_starts(ids: Tensor) -> Tensor:
    """Flat indices where a run of one id begins, in each row anew: far fewer than pixels. On a GPU, that would have to wait, all pixels."""
    if ids.device.type != 'cpu':
        return _arange(ids.numel(), ids)
    changes = torch.ones_like(ids, dtype=torch.bool)
    torch.ne(ids[:, 1:], ids[:, :-1], out=changes[:, 1:])
    return changes.flatten().nonzero()[:, 0]


def _arange(end: int, like: Tensor) -> Tensor:
    return torch.arange(end, device=like.device)


def joint_histogram(rows: Tensor, cols: Tensor, num_rows: int, num_cols: int) -> Tensor:
    """Counts of (row, column) pairs in one pass.

    Args:
        rows, cols: (N,) integers in [0, num_rows) and [0, num_cols).

    Returns:
        (num_rows, num_cols) int64.
    """
    flat = rows.long() * num_cols + cols.long()
    return segment_sum(torch.ones_like(flat), flat, num_rows * num_cols).view(num_rows, num_cols)


def majority_label(ids: Tensor, label_map: Tensor, num_segments: int, num_labels: int) -> tuple[Tensor, Tensor]:
    """The most frequent label inside every object.

    Args:
        ids: (H, W) integers, 1..K objects.
        label_map: (H, W) integers; values outside [0, num_labels) don't vote.

    Returns:
        labels (K,) int64, the lowest label on a tie and where nothing voted; shares (K,) float32, votes for it over the object's area.
    """
    votes = (ids > 0) & (label_map >= 0) & (label_map < num_labels)
    rows = torch.where(votes, ids, 0).flatten()
    cols = torch.where(votes, label_map, 0).flatten()
    counts = joint_histogram(rows, cols, num_segments + 1, num_labels)[1:]
    areas = segment_sum(torch.ones_like(rows, dtype=torch.int64), ids.clamp(min=0).flatten(), num_segments + 1)[1:]
    # argmax may return any of several maxima; ranking by (count, -label) makes the lowest label win.
    rank = counts * num_labels + torch.arange(num_labels - 1, -1, -1, device=counts.device)
    labels = rank.argmax(dim=1)
    return labels, counts.gather(1, labels[:, None]).squeeze(1).float() / areas.clamp(min=1)


def largest_share(ids: Tensor, other: Tensor, num_segments: int, num_others: int) -> Tensor:
    """The object of another map that each object shares most pixels with.

    Args:
        ids, other: (H, W) integers, objects 1..K and 1..L.
        num_segments, num_others: K, L.

    Returns:
        (K,) int64 in 0..L: the lowest id on a tie, 0 where there is none. Memory: 24 bytes * K * L.
    """
    counts = joint_histogram(ids.clamp(min=0).flatten(), other.clamp(min=0).flatten(), num_segments + 1, num_others + 1)[1:, 1:]
    if not num_others:
        return counts.new_zeros(num_segments)
    # argmax may return any of several maxima; ranking by (count, -id) makes the lowest id win.
    best = (counts * num_others - torch.arange(num_others, device=counts.device)).argmax(dim=1)
    return torch.where(counts.gather(1, best[:, None])[:, 0] > 0, best + 1, 0)
