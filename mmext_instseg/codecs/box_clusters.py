"""Clusters of boxes that agree, for a batch of images at once; and the best row of its own image's table for each of many pixels.

Shapes: B images, M pixels and N candidates of all images, each in the order of the images; S rows of the longest table.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..ops import segment_sum
from .centroid_grid import first_maximum
from .near_nms import rank_in_image

STEPS = 8  # a pixel of the map: equal boxes are equal in spite of rounding, and their sums exact
_PAIRS = 2**16  # of pixel and row compared at a time on a CPU; they stay in its cache
_PER_OCTAVE = 3
_CELLS = 8  # a box has so many cells along each side, or some more


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boxes (4, ...) x1, y1, x2, y2, with each other as they broadcast; 0 where one is empty and the other isn't."""
    shared = (torch.minimum(first[2], second[2]) - torch.maximum(first[0], second[0])).clamp_(min=0)
    shared *= (torch.minimum(first[3], second[3]) - torch.maximum(first[1], second[1])).clamp_(min=0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (areas[0] + areas[1] - shared)


def count_boxes(boxes: Tensor, image: Tensor, side: float) -> tuple[Tensor, Tensor, Tensor]:
    """A histogram of box centres and sizes: how many boxes fall into each of the bins that there are, and their mean.

    Sizes have three bins an octave, centres cells of an eighth of the size. So bins are as fine as the boxes are small, and two boxes in
    one bin have an IoU above 0.61.

    Args:
        boxes: (4, M) float32, multiples of 1 / `STEPS`, at least 1 wide and high, within [-side, 2 side].
        image: (M,) int64, ascending.
        side: in pixels of the map.

    Returns:
        votes (N,) int64; image (N,) int64, ascending; mean boxes (4, N) float32. In an image they are in the order of the bins. Reads N
        back. Time M log M, memory about 90 bytes * M.
    """
    key = image
    octaves = int(side).bit_length() + 2
    cells = 4 * _CELLS * (int(side) + 1)
    for low, high in (boxes[::2], boxes[1::2]):
        size = (_PER_OCTAVE * (high - low).log2()).floor()
        centre = ((low + high) / 2 + side) * _CELLS / torch.exp2(size / _PER_OCTAVE)
        key = (key * (_PER_OCTAVE * octaves) + size.long()) * cells + centre.long()
    bins, index, votes = torch.unique(key, return_inverse=True, return_counts=True)
    total = segment_sum((boxes * STEPS).long().T, index, len(bins))
    image = bins // ((_PER_OCTAVE * octaves) * cells) ** 2
    return votes, image, (total.double() / votes[:, None] / STEPS).float().T


def best_rows(scores: Tensor, image: Tensor, num: int, most: int) -> Tensor:
    """The highest scores of each image.

    Args:
        scores: (N,).
        image: (N,) int64.
        num: B.
        most: of an image.

    Returns:
        (n,) int64 rows, image by image, the highest first, the earlier of two equal ones. Reads n back.
    """
    rank = rank_in_image(scores, image, num)
    rows = (rank < most).nonzero()[:, 0]
    counts = torch.bincount(image[rows], minlength=num)
    return torch.empty_like(rows).scatter_(0, rank[rows] + (counts.cumsum(0) - counts)[image[rows]], rows)


def box_nms(boxes: Tensor, image: Tensor, num: int, sigma: float = 2.0) -> Tensor:
    """Factors of matrix NMS (Gaussian) between the boxes of each image: as `ops.matrix_nms`, of boxes in place of masks.

    Args:
        boxes: (4, N) float32, image by image, the best first.
        image: (N,) int64.
        num: B.

    Returns:
        (N,) float32 in (0, 1]. Time: the pairs in each image; temporary memory and what is read back as `best_in_image`.
    """
    place = places(image, num)
    covered, factor = torch.zeros_like(boxes[:1]), torch.ones_like(boxes[0])
    for part, rows in _rows_of(image, boxes, image, num):
        covered[0, part] = _iou_with_better(rows, boxes[:, part], place[part]).amax(dim=0)
    for part, rows in _rows_of(image, torch.cat([boxes, covered]), image, num):
        iou = _iou_with_better(rows[:4], boxes[:, part], place[part])
        factor[part] = torch.exp(-sigma * (iou.square_() - rows[4].square())).amin(dim=0).clamp(max=1)
    return factor


def _iou_with_better(rows: Tensor, boxes: Tensor, place: Tensor) -> Tensor:
    """(s, n) IoU of boxes (4, n) with rows (4, s, n); 0 with those that don't stand before the box's own place (n,)."""
    better = torch.arange(rows.shape[1], device=place.device)[:, None] < place
    return torch.where(better, box_iou(rows, boxes[:, None]), 0.0)


def best_in_image(
    affinity: Callable[[slice, Tensor], Tensor], image: Tensor, table: Tensor, table_image: Tensor, num: int
) -> tuple[Tensor, Tensor]:
    """For each pixel the row of its image's table with the highest affinity, the first on a tie.

    Only an image's own rows take time, whatever the other images have. Temporary memory: (C + 4) * 4 bytes * 2^16 pairs, 2^24 on a GPU.
    2 B numbers are read back.

    Args:
        affinity: called with a range of n pixels and rows (C, s, n) for them, it returns (s, n) float32; both may be overwritten.
        image: (M,) int64, ascending.
        table: (C, N), the rows of all tables.
        table_image: (N,) int64, ascending.
        num: B.

    Returns:
        row (M,) int64 in 0..N-1, -1 without any; affinity (M,) float32, -inf there.
    """
    row, best = torch.full_like(image, -1), torch.full_like(image, -torch.inf, dtype=torch.float32)
    counts = torch.bincount(table_image, minlength=num)
    begin = counts.cumsum(0) - counts
    for part, rows in _rows_of(image, table, table_image, num):
        there = torch.arange(rows.shape[1], device=image.device)[:, None] < counts[image[part]]
        best[part], row[part] = first_maximum(affinity(part, rows).masked_fill_(~there, -torch.inf))
    return torch.where(best > -torch.inf, row + begin[image], -1), best


def places(image: Tensor, num: int) -> Tensor:
    """(N,) place of each row among those of its image; image (N,) int64, ascending."""
    counts = torch.bincount(image, minlength=num)
    return torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]


def _rows_of(image: Tensor, table: Tensor, table_image: Tensor, num: int) -> Iterator[tuple[slice, Tensor]]:
    """Ranges of n pixels with the rows (C, s, n) of their images' tables, 0 where there are less than s; s isn't 0.

    Arguments as `best_in_image`.
    """
    sizes, counts = torch.stack([torch.bincount(index, minlength=num) for index in (image, table_image)]).tolist()
    padded = table.new_zeros(len(table), max(counts, default=0), num)
    padded[:, places(table_image, num), table_image] = table
    for part, width in _pieces(sizes, counts, _PAIRS if image.device.type == 'cpu' else 2**24):
        yield part, padded[:, :width].index_select(2, image[part])


def _pieces(pixels: Sequence[int], rows: Sequence[int], room: int) -> Iterator[tuple[slice, int]]:
    """Cuts the pixels of all images into ranges, at most `room` pairs of pixel and row each, or one pixel."""
    first = last = width = 0
    for size, count in zip(pixels, rows, strict=True):
        if width and last > first and (last - first + size) * max(width, count) > room:
            yield slice(first, last), width
            first, width = last, 0
        if not width:
            first = last  # images without rows have nothing to join
        last, width = last + size, max(width, count)
        while last > first + 1 and (last - first) * width > room:
            step = max(room // width, 1)
            yield slice(first, first + step), width
            first += step
    if last > first and width:
        yield slice(first, last), width
