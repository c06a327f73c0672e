"""DCME: each pixel holds the displacement vector to its object's centre of mass (Watanabe and Wolf)."""

import torch
from torch import Tensor

from ..ops import find_peaks, nearest_peak, segment_sum, smooth_votes, vote_histogram
from ..registry import TASK_UTILS
from ..structures import InstanceMap
from .base import BaseCodec, Extents, pixel_weight


@TASK_UTILS.register_module()
class DCMECodec(BaseCodec):
    """Displacement vectors and their decoding by votes.

    Encoding follows the paper: value = centroid - pixel as (dx, dy), where the centroid is the mean of the visible pixels; 0 in the
    background. Decoding isn't in the paper; ours: every foreground pixel votes for pixel + vector; the votes are counted in cells
    and smoothed; peaks are centres; a pixel joins the centre nearest to its vote; groups below `min_area` are dropped. The score of
    an instance is its vote concentration, the share of its votes within `peak_radius` cells of the centre.

    `decode(encode(x)) == x` where the cells of all centroids are at least 2 * `peak_radius` + 1 apart along x or y. Nearer ones may
    merge or, in a chain of ever better ones, be lost, but an object is never split. Time and memory are linear in H * W and flat in
    the number of instances: a few integers a pixel and (2 * `join_radius` + 1)^2 a peak.

    Args:
        unit: the maps are in units of this many pixels (ours; the paper's is 1). A power of two keeps them exact.
        cell: side of a histogram cell in pixels of the map; 1 / stride gives maps of a higher stride the image's resolution.
        peak_radius: half-width, in cells, of the window of a peak and of the smoothing.
        join_radius: a vote further than this many cells from every centre belongs to nothing.
        max_miss: where given, a vote belongs to nothing that misses its centre by more than this share of its pixel's distance (and by
            more than `peak_radius` cells). For a coarse foreground, such as the class grid at Gs = 16: the background in it, trained
            towards 0, votes for itself and would join every centre nearby.
        min_votes: smallest smoothed count of a peak.
        min_area: smallest instance in pixels.
        background_weight: weight of background pixels in the loss; the paper trains them towards 0 like any other, weight 1.
        reference_side: see `pixel_weight`.
    """

    channels = {'displacement': 2}

    def __init__(
        self,
        unit: float = 1.0,
        cell: float = 1.0,
        peak_radius: int = 2,
        join_radius: int = 8,
        max_miss: float | None = None,
        min_votes: float = 1.0,
        min_area: int = 1,
        background_weight: float = 1.0,
        reference_side: float | None = None,
    ) -> None:
        for name, value in (('unit', unit), ('cell', cell)):
            if not (isinstance(value, int | float) and value > 0):
                raise ValueError(f'DCMECodec: {name} must be above 0, not {value!r}')
        for name, value in (('peak_radius', peak_radius), ('join_radius', join_radius)):
            if not (isinstance(value, int) and value >= 0):
                raise ValueError(f'DCMECodec: {name} must be a whole number of cells, not {value!r}')
        if join_radius < peak_radius:
            raise ValueError(f'DCMECodec: join_radius ({join_radius}) must be at least peak_radius ({peak_radius})')
        self.unit = unit
        self.cell = cell
        self.peak_radius = peak_radius
        self.join_radius = join_radius
        self.max_miss = max_miss
        self.min_votes = min_votes
        self.min_area = min_area
        self.background_weight = background_weight
        self.reference_side = reference_side

    @classmethod
    def arguments_at(cls, stride: int) -> dict:
        return dict(cell=1 / stride, join_radius=8 * stride)

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        ids = instances.ids.long()
        grid = pixel_grid(instances.shape, instances.device)
        centres = torch.cat([instances.centroids.new_zeros(1, 2), instances.centroids])[ids.clamp(min=0)].permute(2, 0, 1)
        vectors = torch.where(ids > 0, centres - grid, 0.0) / self.unit
        return {'displacement': vectors}, pixel_weight(instances, self.background_weight, self.reference_side)

    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None, extents: Extents = None) -> list[InstanceMap]:
        vectors = maps['displacement'].float() * self.unit
        num, _, height, width = vectors.shape
        if foreground is None:
            foreground = torch.ones((num, height, width), dtype=torch.bool, device=vectors.device)
        image, y, x = foreground.nonzero(as_tuple=True)
        votes = vectors[image, :, y, x] + torch.stack([x, y], dim=1)
        histogram, index = vote_histogram(votes, image, (num, height, width), self.cell, margin=self.join_radius)
        peaks = find_peaks(smooth_votes(histogram, self.peak_radius), self.peak_radius, self.min_votes)
        table = nearest_peak(peaks, histogram.shape, self.join_radius).flatten()
        owner = torch.cat([table, table.new_zeros(1)])[index]  # the last entry: votes outside the histogram
        rows, cols = histogram.shape[1:]
        centre = torch.cat([peaks.new_zeros(1, 3), peaks])[owner, 1:]
        missed = (torch.stack([index // cols % rows, index % cols], dim=1) - centre).abs().amax(dim=1)
        if self.max_miss is not None:
            home = torch.floor((torch.stack([y, x], dim=1) + 0.5) / self.cell).long() + self.join_radius
            away = (home - centre).abs().amax(dim=1)
            owner = torch.where(missed <= (self.max_miss * away).clamp(min=self.peak_radius), owner, 0)
        return self._group(peaks, owner, missed <= self.peak_radius, foreground, (image, y, x))

    def _group(self, peaks: Tensor, owner: Tensor, close: Tensor, foreground: Tensor, pixels: tuple[Tensor, ...]) -> list[InstanceMap]:
        """Numbers the groups of at least `min_area` pixels image by image; scores them by the share of votes that are `close`."""
        count = len(peaks)
        areas = segment_sum(torch.ones_like(owner), owner, count + 1)[1:]
        near = segment_sum(close.long(), owner, count + 1)[1:]
        keep = areas >= self.min_area
        per_image = segment_sum(keep.long(), peaks[:, 0], len(foreground))
        before = (per_image.cumsum(0) - per_image)[peaks[:, 0]]
        number = torch.where(keep, keep.cumsum(0) - before, 0)
        ids = torch.zeros_like(foreground, dtype=torch.int32)
        ids[pixels] = torch.cat([number.new_zeros(1), number]).int()[owner]
        scores = (near.float() / areas.clamp(min=1))[keep].split(per_image.tolist())
        labels = [torch.zeros_like(score, dtype=torch.int64) for score in scores]
        return [InstanceMap.from_ids(*columns) for columns in zip(ids, labels, scores, strict=True)]


def pixel_grid(shape: tuple[int, int], device: torch.device) -> Tensor:
    """(2, H, W) float32: (x, y) index of each pixel."""
    y, x = torch.meshgrid(*(torch.arange(size, device=device, dtype=torch.float32) for size in shape), indexing='ij')
    return torch.stack([x, y])
