"""Centres and offsets, as Panoptic-DeepLab groups them: a heatmap of centres, and in each pixel the way to its own centre."""

import torch
from torch import Tensor

from mmext_instseg.codecs import BaseCodec
from mmext_instseg.codecs.base import pixel_weight
from mmext_instseg.ops import find_peaks, nearest_peak, segment_sum
from mmext_instseg.registry import TASK_UTILS
from mmext_instseg.structures import InstanceMap


@TASK_UTILS.register_module()
class CenterOffsetCodec(BaseCodec):
    """Peaks of the heatmap are the instances; a pixel belongs to the peak nearest to where its offset points.

    `decode(encode(x)) == x` where centroids lie at least 2 * `peak_radius` + 1 pixels apart along x or y, inside the map.

    Args:
        sigma: of a centre's Gaussian, in pixels of the map.
        peak_radius: half-width of the window in which a peak is the maximum.
        join_radius: a pixel that points further than this from every peak belongs to nothing.
        threshold: smallest heat of a peak.
    """

    channels = {'heatmap': 1, 'offset': 2}

    def __init__(self, sigma: float = 2.0, peak_radius: int = 2, join_radius: int = 8, threshold: float = 0.3) -> None:
        self.sigma, self.peak_radius, self.join_radius, self.threshold = sigma, peak_radius, join_radius, threshold

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        ids, centres = instances.ids.long().clamp(min=0), instances.centroids
        y, x = torch.meshgrid(*(torch.arange(size, device=ids.device) for size in instances.shape), indexing='ij')
        table = torch.cat([centres.new_zeros(1, 2), centres])  # row 0: the background
        offset = torch.where(ids > 0, table[ids].permute(2, 0, 1) - torch.stack([x, y]), 0.0)
        return {'heatmap': self.heatmap(instances)[None], 'offset': offset}, pixel_weight(instances, background=1.0)

    def heatmap(self, instances: InstanceMap) -> Tensor:
        """(H, W): around each centroid's pixel a Gaussian; the larger one where two meet. K * (6 sigma + 1)^2 values, no loop."""
        height, width = instances.shape
        reach = int(3 * self.sigma)
        span = torch.arange(-reach, reach + 1, device=instances.device)
        dy, dx = (grid.flatten() for grid in torch.meshgrid(span, span, indexing='ij'))
        pixel = instances.centroids.round().long()
        x, y = pixel[:, :1] + dx, pixel[:, 1:] + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (instances.areas > 0)[:, None]
        value = torch.exp(-(dx**2 + dy**2) / (2 * self.sigma**2)) * inside
        heat = torch.zeros(height * width, device=instances.device)
        return heat.scatter_reduce(0, (y * width + x).where(inside, 0).flatten(), value.flatten(), 'amax').view(height, width)

    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None, extents=None) -> list[InstanceMap]:
        heat, offset = maps['heatmap'][:, 0].float(), maps['offset'].float()
        num, height, width = heat.shape
        peaks = find_peaks(heat, self.peak_radius, self.threshold)
        nearest = nearest_peak(peaks, heat.shape, self.join_radius)
        image, y, x = torch.ones_like(heat, dtype=torch.bool).nonzero(as_tuple=True)
        to_x = (x + offset[image, 0, y, x]).round().long().clamp(0, width - 1)
        to_y = (y + offset[image, 1, y, x]).round().long().clamp(0, height - 1)
        owner = nearest[image, to_y, to_x].view(num, height, width)  # 0, or the peak's row + 1
        if foreground is not None:
            owner = owner * foreground
        return self._number(owner, peaks, heat)

    @staticmethod
    def _number(owner: Tensor, peaks: Tensor, heat: Tensor) -> list[InstanceMap]:
        """Counts the peaks that own pixels from 1 in each image; a peak's heat is the score."""
        areas = segment_sum(torch.ones_like(owner).flatten(), owner.flatten(), len(peaks) + 1)[1:]
        keep, image = areas > 0, peaks[:, 0]
        per_image = segment_sum(keep.long(), image, len(owner))
        before = (per_image.cumsum(0) - per_image)[image]
        number = torch.cat([image.new_zeros(1), torch.where(keep, keep.cumsum(0) - before, 0)])
        scores = heat[tuple(peaks[keep].T)].clamp(0, 1).split(per_image.tolist())
        labels = [torch.zeros_like(score, dtype=torch.int64) for score in scores]
        return [InstanceMap.from_ids(*one) for one in zip(number[owner].int(), labels, scores, strict=True)]
