"""What the codecs share in which each pixel names the centroid of its object: a grid of centroids, and the way back to instances.

Shapes: B images, (H, W) map size, M pixels, (R, C) rows and columns of the grid, N candidates, K survivors of an image.

The affinity of a pixel to a cell is a sum of one term for the column and one for the row. The best cell of the whole grid is therefore
the best column and the best row, found apart: R + C values a pixel in place of R * C.
"""

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from ..ops import find_peaks, nearest_peak, segment_sum, smooth_votes
from ..structures import InstanceMap
from .base import BaseCodec, Extents, pixel_weight
from .near_nms import near_nms, near_sum, rank_in_image

Values = tuple[Tensor, Tensor]


class CentroidGridCodec(BaseCodec):
    """Centroids on a grid: cells that enough pixels choose are candidates, matrix NMS thins them out, each pixel joins one of the rest.

    The paper (Section 5.1) names the steps: nearest neighbour search, NMS "similarly to Painter", an instance for each pixel. How they are
    done is ours:

    1. A foreground pixel chooses the cell with the highest affinity, or void where that is below void's. On ties the lowest row and
       column win; void is last.
    2. The pixels of each cell are counted and smoothed within `peak_radius`; maxima of at least `min_pixels` are candidates.
    3. Soft assignment: the mask of a candidate is all pixels that chose a cell within `near_radius` of it, so masks overlap. Its score
       is 1 - mean distance of these pixels to the cells they chose / the maximum. Matrix NMS (Gaussian, sigma 2) lowers it by the overlap
       with better candidates of the image; those that keep less than `nms_threshold` of it go.
    4. A pixel that chose a cell within `near_radius` of a survivor joins the nearest one, any other the survivor with the highest
       affinity, or void. The score of an instance is 1 - mean distance of its pixels to its own cell / the maximum, times what NMS left
       of 1. The best `max_instances` with at least `min_pixels` stay.

    `decode(encode(x)) == x` where the cells of all centroids are more than max(2 `peak_radius`, `near_radius`) apart along x or y. Nearer
    ones may merge; an object is never split. A network's maps need `min_pixels` of about 10: where codes blur into each other, pixels
    choose stray cells.

    Time: M * (R + C), and M * K for those pixels alone that chose no cell near a survivor. Memory: 60 bytes * M; 8 bytes * 2^18
    affinities, 2^26 on a GPU; 50 bytes * N * (4 `near_radius` + 1)^2.

    Args:
        grid: (rows, columns).
        peak_radius, near_radius: in cells.
        min_pixels: of the smoothed count of a candidate, and of an instance.
        nms_threshold: in [0, 1]; at sigma 2, 0.5 is an IoU of 0.59.
        max_instances: of an image; None: no limit.
        void: 'code': pixels without an instance are trained towards void, with weight `void_weight`; 'ignore': with weight 0, the
            baseline of Figures 4 and 6, whose instances swell.
        void_weight: the paper's is 1.
        reference_side: see `pixel_weight`.

    Raises:
        ValueError: an argument that is none of these.
    """

    #: Affinity of every pixel to void.
    void_affinity: float = 0.0

    def __init__(
        self,
        grid: tuple[int, int],
        peak_radius: int = 1,
        near_radius: int = 2,
        min_pixels: int = 1,
        nms_threshold: float = 0.5,
        max_instances: int | None = 100,
        void: str = 'code',
        void_weight: float = 1.0,
        reference_side: float | None = None,
    ) -> None:
        name = type(self).__name__
        if not (len(grid) == 2 and all(isinstance(side, int) and side > 0 for side in grid)):
            raise ValueError(f'{name}: a grid is (rows, columns), not {grid!r}')
        for key, value in (('peak_radius', peak_radius), ('near_radius', near_radius)):
            if not (isinstance(value, int) and value >= 0):
                raise ValueError(f'{name}: {key} must be a whole number of cells, not {value!r}')
        if void not in ('code', 'ignore'):
            raise ValueError(f"{name}: void must be 'code' or 'ignore', not {void!r}")
        self.grid = tuple(grid)
        self.peak_radius = peak_radius
        self.near_radius = near_radius
        self.min_pixels = max(min_pixels, 1)
        self.nms_threshold = nms_threshold
        self.max_instances = max_instances
        self.void_weight = float(void_weight) if void == 'code' else 0.0
        self.reference_side = reference_side

    @abstractmethod
    def values(self, maps: dict[str, Tensor], image: int, pixel: Tensor) -> Values:
        """What pixels of an image say about their column (P, M) and row (Q, M), float32.

        Args:
            maps: name -> (B, C, H, W), of `absolute`.
            pixel: (M,) flat indices.
        """

    @abstractmethod
    def affinity(self, values: Tensor, axis: int, index: Tensor | None = None) -> Tensor:
        """Terms of the affinity: (n, M) of all columns (axis 0) or rows (axis 1), or of those in `index` (n,); may be overwritten."""

    @abstractmethod
    def distance(self, values: Values, col: Tensor, row: Tensor) -> Tensor:
        """(M,) distance of each pixel to the cell (row, col), as a share of the maximum, in [0, 1]."""

    def best(self, values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Highest term (M,) and its column or row (M,), the lowest on a tie."""
        pieces = values.split(_room(values.device, self.grid[1 - axis]), dim=1)
        top, index = zip(*(first_maximum(self.affinity(piece, axis)) for piece in pieces), strict=True)
        return torch.cat(top), torch.cat(index)

    def weight(self, instances: InstanceMap) -> Tensor:
        """(H, W) float32: `void_weight` in no instance, 0 where ignored; see `pixel_weight`."""
        return pixel_weight(instances, self.void_weight, self.reference_side)

    def absolute(self, maps: dict[str, Tensor], extents: Extents = None) -> dict[str, Tensor]:
        """Maps (B, C, H, W) that mean the same at every pixel, as losses between pixels and `choose` need them; here they already do.

        Args:
            extents: see `BaseCodec.decode`.
        """
        return maps

    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None, extents: Extents = None) -> list[InstanceMap]:
        maps = self.absolute(maps, extents)
        first = maps[next(iter(self.channels))]
        if foreground is None:
            foreground = torch.ones_like(first[:, 0], dtype=torch.bool)
        image, pixel = foreground.flatten(1).nonzero(as_tuple=True)
        with torch.autocast(first.device.type, enabled=False):
            cell, distance = self.choose(maps, image, pixel)
            survivors, factor = self._survivors(cell, distance, len(foreground))
            owner = self._join(maps, image, pixel, cell, distance, survivors)
        return self._group(survivors, factor, owner, distance, foreground, (image, pixel))

    def colours(self, maps: dict[str, Tensor], extents: Extents = None) -> Tensor:
        """(B, 3, H, W) float32 in [0, 1], for pictures: the column (red) and row (green) that each pixel names; void is black."""
        maps = self.absolute(maps, extents)
        num, _, height, width = maps[next(iter(self.channels))].shape
        image, pixel = (index.flatten() for index in torch.meshgrid(torch.arange(num), torch.arange(height * width), indexing='ij'))
        device = next(iter(maps.values())).device
        cell, _ = self.choose(maps, image.to(device), pixel.to(device))
        rows, cols = self.grid
        named = torch.stack(
            [cell % cols / max(cols - 1, 1), cell // cols % rows / max(rows - 1, 1), torch.full_like(cell, 1, dtype=torch.float32)]
        )
        shown = torch.where(cell < num * rows * cols, named * torch.tensor([1.0, 1.0, 0.5], device=device)[:, None], 0.0)
        return shown.view(3, num, height, width).movedim(0, 1)

    def parts(self, maps: dict[str, Tensor], image: Tensor, pixel: Tensor, step: int) -> Iterator[tuple[int, slice, Values]]:
        """(image, which of the M pixels, their values), at most `step` pixels of one image at a time; arguments as `choose`."""
        num, start = len(next(iter(maps.values()))), 0
        for number, size in enumerate(torch.bincount(image, minlength=num).tolist()):
            for first in range(start, start + size, step):
                part = slice(first, min(first + step, start + size))
                yield number, part, self.values(maps, number, pixel[part])
            start += size

    def choose(self, maps: dict[str, Tensor], image: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest cell of the whole grid, or void.

        Args:
            maps: name -> (B, C, H, W), of `absolute`.
            image, pixel: (M,) images in ascending order, flat indices in them.

        Returns:
            cell (M,) int64: (image * R + row) * C + column, B * R * C for void; distance (M,) to it.
        """
        rows, cols = self.grid
        void = len(next(iter(maps.values()))) * rows * cols
        cell, distance = torch.empty_like(pixel), torch.empty_like(pixel, dtype=torch.float32)
        room = _room(pixel.device, max(self.grid))
        for number, part, values in self.parts(maps, image, pixel, room * -(-(2**14) // room)):  # fewer are slower
            (across, col), (down, row) = (self.best(value, axis) for axis, value in enumerate(values))
            cell[part] = torch.where(across + down >= self.void_affinity, (number * rows + row) * cols + col, void)
            distance[part] = self.distance(values, col, row)
        return cell, distance

    def _survivors(self, cell: Tensor, distance: Tensor, num: int) -> tuple[Tensor, Tensor]:
        """(S, 3) int64 (image, row, column) in raster order, and (S,) the factors that NMS left."""
        shape = (num, *self.grid)
        count = num * self.grid[0] * self.grid[1]
        votes = segment_sum(torch.ones_like(cell), cell, count + 1)[:-1].view(shape)
        missed = segment_sum(distance, cell, count + 1)[:-1].view(shape)
        peaks = find_peaks(smooth_votes(votes, self.peak_radius), self.peak_radius, self.min_pixels)
        near, total = (near_sum(values, peaks, self.near_radius) for values in (votes, missed))
        score = 1 - total / near.clamp(min=1)
        factor = near_nms(votes, peaks, score, self.near_radius).float()
        keep = factor >= self.nms_threshold
        return peaks[keep], factor[keep]

    def _join(self, maps: dict[str, Tensor], image: Tensor, pixel: Tensor, cell: Tensor, distance: Tensor, survivors: Tensor) -> Tensor:
        """(M,) 1..S the survivor that a pixel joins, 0 for void; `distance` becomes that to its cell."""
        rows, cols = self.grid
        num = len(next(iter(maps.values())))
        void = num * rows * cols
        near = nearest_peak(survivors, (num, rows, cols), self.near_radius).flatten()
        owner = torch.cat([near, near.new_zeros(1)])[cell]
        own = torch.cat([cell.new_full((1,), -1), (survivors[:, 0] * rows + survivors[:, 1]) * cols + survivors[:, 2]])[owner]
        beside = ((owner > 0) & (own != cell)).nonzero()[:, 0]
        for _, part, values in self.parts(maps, image[beside], pixel[beside], _room(pixel.device, 1)):
            chosen = own[beside[part]]
            distance[beside[part]] = self.distance(values, chosen % cols, chosen // cols % rows)
        rest = ((owner == 0) & (cell < void)).nonzero()[:, 0]
        sizes = torch.bincount(survivors[:, 0], minlength=num).tolist()
        for number, part, values in self.parts(maps, image[rest], pixel[rest], _room(pixel.device, max(sizes))):
            if not sizes[number]:
                continue
            before = sum(sizes[:number])
            _, row, col = survivors[before : before + sizes[number]].unbind(1)
            affinity, index = first_maximum(self.affinity(values[0], 0, col).add_(self.affinity(values[1], 1, row)))
            owner[rest[part]] = torch.where(affinity >= self.void_affinity, before + index + 1, 0)
            distance[rest[part]] = self.distance(values, col[index], row[index])
        return owner

    def _group(
        self, survivors: Tensor, factor: Tensor, owner: Tensor, distance: Tensor, foreground: Tensor, pixels: tuple[Tensor, Tensor]
    ) -> list[InstanceMap]:
        """Numbers the groups of at least `min_pixels` image by image, and scores them."""
        areas = segment_sum(torch.ones_like(owner), owner, len(survivors) + 1)[1:]
        score = (1 - segment_sum(distance, owner, len(survivors) + 1)[1:] / areas.clamp(min=1)) * factor
        keep = areas >= self.min_pixels
        if self.max_instances is not None:
            keep &= rank_in_image(torch.where(keep, score, -1), survivors[:, 0], len(foreground)) < self.max_instances
        per_image = segment_sum(keep.long(), survivors[:, 0], len(foreground))
        before = (per_image.cumsum(0) - per_image)[survivors[:, 0]]
        number = torch.where(keep, keep.cumsum(0) - before, 0)
        ids = foreground.new_zeros(foreground.shape, dtype=torch.int32)  # contiguous, whatever the foreground is
        ids.flatten(1)[pixels] = torch.cat([number.new_zeros(1), number]).int()[owner]
        scores = score[keep].split(per_image.tolist())
        labels = [torch.zeros_like(one, dtype=torch.int64) for one in scores]
        return [InstanceMap.from_ids(*columns) for columns in zip(ids, labels, scores, strict=True)]


def _room(device: torch.device, width: int) -> int:
    """How many pixels have room for `width` affinities each in a CPU core's cache, or in 268 MB elsewhere; vectorised best by 64."""
    return max((2**18 if device.type == 'cpu' else 2**26) // max(width, 1) // 64, 1) * 64


@torch.no_grad()
def first_maximum(values: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum of each column and the first row that has it, in torch's vectorised operations: twice as fast on a CPU as `max(dim=0)`.

    Args:
        values: (n, M) float32, overwritten; n < 2^24. Differences below 2^-76 count as none.

    Returns:
        (M,) float32, NaN where there is one; (M,) int64, some row where there is a NaN.
    """
    top = values.amax(dim=0)
    order = torch.arange(0, -len(values), -1, dtype=values.dtype, device=values.device)[:, None]
    # All that is less than the maximum falls below -n
    torch.add(order, values.sub_(top), alpha=2.0**100, out=values)
    return top, values.amax(dim=0).neg_().nan_to_num_(0).long()


def cell_centres(num: int, device: torch.device, extent: float | None = None) -> Tensor:
    """(n,) float64: 2 (i + 0.5) / extent - 1; with the extent n (None) the middles of n cells of [-1, 1]."""
    return (2 * torch.arange(num, device=device, dtype=torch.float64) + 1) / (extent or num) - 1


def normalise(instances: InstanceMap) -> Tensor:
    """(K, 2) float64 (u, v) of the centroids in [-1, 1]: 2 (x + 0.5) / W - 1, with the image's size in the map, without padding."""
    height, width = instances.extent or instances.shape
    return (2 * instances.centroids.double() + 1) / torch.tensor([width, height], device=instances.device) - 1
