"""Instances of overlapping tiles, stitched to those of the whole image."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product

import torch
from torch import Tensor

from ..ops import core_edges, join_pairs, match_pieces, segment_sum, tile_starts
from ..structures import InstanceMap

Box = tuple[slice, slice]  # rows, columns


@dataclass
class TileGrid:
    """Overlapping tiles of one size, in raster order.

    Args:
        shape: (H, W) of the image.
        tile: (h, w) of a tile; where the image is smaller, the tile is as small.
        overlap: pixels that neighbours share at least.

    Raises:
        ValueError: an overlap below 2, or not below a side of the tile; an image without pixels.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    overlap: int
    starts: tuple[list[int], list[int]] = field(init=False)

    def __post_init__(self) -> None:
        rows, cols = (tile_starts(length, side, self.overlap) for length, side in zip(self.shape, self.tile, strict=True))
        self.starts = rows, cols
        self.tile = (min(self.tile[0], self.shape[0]), min(self.tile[1], self.shape[1]))

    def __len__(self) -> int:
        return len(self.starts[0]) * len(self.starts[1])

    @property
    def num_columns(self) -> int:
        return len(self.starts[1])

    def boxes(self) -> list[Box]:
        """The tiles."""
        height, width = self.tile
        return [(slice(y, y + height), slice(x, x + width)) for y, x in product(*self.starts)]

    def cores(self) -> list[Box]:
        """The pixels that each tile decides on: those whose nearest tile centre is its own."""
        edges = (core_edges(starts, side, length) for starts, side, length in zip(self.starts, self.tile, self.shape, strict=True))
        rows, cols = ([slice(*pair) for pair in pairwise(one)] for one in edges)
        return list(product(rows, cols))

    def overlaps(self, number: int) -> Iterator[tuple[int, Box, Box]]:
        """The overlaps of a tile with the one above it and the one on its left.

        Yields:
            how many tiles back that one is, and the overlap in its and in this tile's own coordinates.
        """
        row, col = divmod(number, self.num_columns)
        if row:
            shift = self.starts[0][row] - self.starts[0][row - 1]
            yield self.num_columns, (slice(shift, None), slice(None)), (slice(None, self.tile[0] - shift), slice(None))
        if col:
            shift = self.starts[1][col] - self.starts[1][col - 1]
            yield 1, (slice(None), slice(shift, None)), (slice(None), slice(None, self.tile[1] - shift))


def stitch_tiles(found: Iterable[InstanceMap], grid: TileGrid, agreement: float = 0.5) -> InstanceMap:
    """Makes one map of the instances of all tiles.

    Instances of neighbouring tiles are one object if they have the same label and a piece of them agrees in the overlap
    (`ops.match_pieces`); objects are the connected components of this graph, so they may be cut by any number of seams. A pixel belongs
    to what the tile with the nearest centre found there. A score is the mean of its instances', weighted by the pixels that each gives.

    Where the tiles' results agree with one another the objects are exactly those of the whole image, of whatever shape, as long as their
    pixels hold together.

    Time: of each overlap, h w; of the whole H W. Memory: 4 bytes * (H * W + h * W') for the result and the last row of tiles, W' their
    widths together; 80 bytes * h * w to compare two of them; 32 bytes an instance and tile.

    Args:
        found: instances of each tile in the grid's order, taken one after the other, so that they may be made meanwhile; on the CPU.
        agreement: in [0.5, 1); see `ops.match_pieces`.

    Returns:
        Instances of (H, W) without rows that have no pixel, numbered by the first tile that they are in.

    Raises:
        ValueError: fewer or more tiles than the grid has; one of another size.
    """
    ids = torch.zeros(grid.shape, dtype=torch.int32)
    recent: deque[Tensor] = deque(maxlen=grid.num_columns)
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    pairs = [torch.zeros((0, 2), dtype=torch.int64)]
    count = 0
    for number, (one, core, box) in enumerate(zip(found, grid.cores(), grid.boxes(), strict=True)):
        if one.shape != grid.tile:
            raise ValueError(f'tile {number} has {one.shape} pixels in its result, not {grid.tile}; masks must have the size of the input')
        mine = torch.where(one.ids > 0, one.ids + count, 0)
        for back, before, now in grid.overlaps(number):
            pairs.append(match_pieces(recent[-back][before], mine[now], agreement))
        recent.append(mine)
        decided = mine[tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(core, box, strict=True))]
        ids[core] = decided
        areas = torch.bincount((decided - count).clamp(min=0).flatten(), minlength=len(one) + 1)[1:]
        scores = one.scores if one.scores is not None else torch.ones(len(one))
        columns.append((one.labels, scores.double(), areas))
        count += len(one)
    labels, scores, areas = (torch.cat(column) for column in zip(*columns, strict=True))
    return _join(ids, labels, scores, areas, torch.cat(pairs) - 1, grid.tile[0])


def _join(ids: Tensor, labels: Tensor, scores: Tensor, areas: Tensor, pairs: Tensor, rows: int) -> InstanceMap:
    """Numbers the pixels anew, `rows` of them at a time, by the components of pairs with the same label."""
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    group, count = join_pairs(pairs[same], len(labels))
    weight = segment_sum(areas, group, count)
    score = segment_sum(areas * scores, group, count) / weight.clamp(min=1)
    kept = weight > 0
    table = torch.cat([torch.zeros(1, dtype=torch.int64), kept.cumsum(0)[group]]).int()
    for part in ids.split(rows):
        part.copy_(table[part.long()])
    label = labels.new_zeros(count).scatter_(0, group, labels)
    return InstanceMap.from_ids(ids, label[kept], score[kept].float())
