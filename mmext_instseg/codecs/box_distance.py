"""InstanceCLIPSeg: each pixel holds its distances to the four sides of its object's box, objects' centres stand in a heatmap.

Kovtunenko and Mashtalir; shapes: B pairs of image and phrase, (H, W) map size, M foreground pixels of all pairs, N candidates.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import find_peaks, nearest_peak, segment_sum
from ..registry import TASK_UTILS
from ..structures import InstanceMap
from .base import BaseCodec, Extents, pixel_weight
from .box_clusters import STEPS, best_in_image, best_rows, box_iou, box_nms, count_boxes, places
from .dcme import pixel_grid

_FINE = 2.0**20  # steps of an IoU of 1 in the sum of a score, which is one of whole numbers: the same in any order


@TASK_UTILS.register_module()
class BoxDistanceCodec(BaseCodec):
    """A heatmap of box centres and the distances (left, top, right, bottom) of each pixel to its box (Figures 5, 6, 8 and 9).

    Distances run from the pixel's centre to the outer edges of the box around the object's visible pixels: left and right as a share of
    the image's width, top and bottom of its height, without padding; 0 in no object. The heatmap is a Gaussian around the pixel that holds
    the centre of a box (the right or lower one where it lies between two), the highest where several meet, and cut off at 3 sigma as
    Panoptic-DeepLab's. The paper names two ways of grouping, without details. Ours: distances below half a pixel count as that, so that a
    pixel lies in its own box, and those beyond the image's side as the side; boxes are rounded to 1 / 8 pixel.

    `grouping='centers'`: peaks of the heatmap are the maxima of their windows of at least `peak_threshold`, the `max_instances` highest
    ones. A foreground pixel joins the peak nearest to its own box's centre, the higher one on a tie. Score: the peak's value.
    `decode(encode(x)) == x` for at most `max_instances` objects where the pixels that hold the centres of any two boxes are more than
    `peak_radius` apart along x or y.

    `grouping='boxes'`, without heatmap: boxes are counted in bins of centre and size, as fine as the boxes are small. The mean boxes of the
    `max_candidates` bins with most votes are thinned out by matrix NMS (Gaussian, sigma 2); of those that keep `nms_threshold` the
    `max_instances` with most votes stay. A foreground pixel joins the one that has the highest IoU with its own box, none where all are 0.
    Score: its sum over these pixels, divided by the number of foreground pixels in the box, so that a few stray pixels that agree with each
    other count little. `decode(encode(x)) == x` for at most `max_instances` (and `max_candidates`) objects where no two boxes have an IoU
    above 0.588, which exp(-2 IoU^2) = 0.5 gives: concentric objects of other sizes are told apart, those of almost equal boxes aren't.

    Both for objects of at least `min_area` pixels, and `min_votes`. Elsewhere objects merge, but none is split and, where these two are 1
    and there are no more objects than that, no pixel is lost. The result for an image doesn't depend on the others of the batch.

    Time: M log M for bins; M times the peaks or clusters in the pixel's own image; N^2 in each image for NMS. Memory: 150 bytes * M, 30
    bytes * B H W, and 40 bytes * 2^16 pairs of pixel and peak, on a GPU 2^24. M, N and 4 B numbers are read back.

    Args:
        grouping: see above.
        sigma: of the heatmap's Gaussian, in pixels of the map; the paper's is unknown, Panoptic-DeepLab's 8.
        peak_radius: half-width of the window of a peak in pixels of the map; Panoptic-DeepLab's window is 7.
        peak_threshold: lowest peak.
        max_instances: of an image.
        min_votes: of a bin.
        max_candidates: bins of an image.
        nms_threshold: in (0, 1]. Below 0.48, an IoU of 0.61, boxes may also share a bin and merge.
        min_area: smallest instance in pixels.

    Raises:
        ValueError: an argument that is none of these.
    """

    def __init__(
        self,
        grouping: Literal['centers', 'boxes'] = 'centers',
        sigma: float = 8.0,
        peak_radius: int = 3,
        peak_threshold: float = 0.1,
        max_instances: int = 200,
        min_votes: int = 1,
        max_candidates: int = 1000,
        nms_threshold: float = 0.5,
        min_area: int = 1,
    ) -> None:
        if grouping not in ('centers', 'boxes'):
            raise ValueError(f"BoxDistanceCodec: grouping must be 'centers' or 'boxes', not {grouping!r}")
        if not (isinstance(sigma, int | float) and sigma > 0):
            raise ValueError(f'BoxDistanceCodec: sigma must be above 0, not {sigma!r}')
        whole = dict(peak_radius=peak_radius, max_instances=max_instances, min_votes=min_votes, min_area=min_area)
        for name, value in (*whole.items(), ('max_candidates', max_candidates)):
            if not (isinstance(value, int) and value > 0):
                raise ValueError(f'BoxDistanceCodec: {name} must be a whole number above 0, not {value!r}')
        for name, share in (('peak_threshold', peak_threshold), ('nms_threshold', nms_threshold)):
            if not (isinstance(share, int | float) and 0 < share <= 1):
                raise ValueError(f'BoxDistanceCodec: {name} must be in (0, 1], not {share!r}')
        self.grouping = grouping
        self.channels = {'heatmap': 1, 'distance': 4} if grouping == 'centers' else {'distance': 4}
        self.sigma = sigma
        self.peak_radius = peak_radius
        self.peak_threshold = peak_threshold
        self.max_instances = max_instances
        self.min_votes = min_votes
        self.max_candidates = max_candidates
        self.nms_threshold = nms_threshold
        self.min_area = min_area

    @classmethod
    def arguments_at(cls, stride: int) -> dict:
        return dict(sigma=8 / stride, peak_radius=max(3 // stride, 1))

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        made = {'heatmap': self.heatmap, 'distance': self.distance}
        return {name: made[name](instances) for name in self.channels}, pixel_weight(instances, background=1.0)

    def heatmap(self, instances: InstanceMap) -> Tensor:
        """(1, H, W) float32 in [0, 1], whatever the grouping. Time and memory: `ops.nearest_peak`."""
        corner, end = instances.boxes.unflatten(1, (2, 2)).unbind(1)
        x, y = ((corner + end) / 2).long().unbind(1)
        row = torch.where(instances.areas > 0, y, -(2**30))  # vanished instances: outside the map
        peaks = torch.stack([torch.zeros_like(x), row, x], dim=1)
        nearest = nearest_peak(peaks, (1, *instances.shape), math.ceil(3 * self.sigma))
        centres = torch.cat([peaks.new_zeros(1, 3), peaks])[nearest[0]][..., [2, 1]].permute(2, 0, 1)
        squared = (pixel_grid(instances.shape, instances.device) - centres).square().sum(dim=0)
        return torch.where(nearest > 0, torch.exp(squared / (-2 * self.sigma**2)), 0.0)

    def distance(self, instances: InstanceMap) -> Tensor:
        """(4, H, W) float32 in [0, 1]: left, top, right, bottom."""
        ids = instances.ids.long()
        box = torch.cat([instances.boxes.new_zeros(1, 4), instances.boxes])[ids.clamp(min=0)].permute(2, 0, 1)
        middle = pixel_grid(instances.shape, instances.device) + 0.5
        height, width = instances.extent or instances.shape
        away = torch.cat([middle - box[:2], box[2:] - middle]) / box.new_tensor([width, height, width, height]).view(4, 1, 1)
        return torch.where(ids > 0, away, 0.0)

    @torch.no_grad()
    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None, extents: Extents = None) -> list[InstanceMap]:
        distance = maps['distance']
        num, _, height, width = distance.shape
        if foreground is None:
            foreground = torch.ones((num, height, width), dtype=torch.bool, device=distance.device)
        extents = extents or [(height, width)] * num
        sides = torch.tensor(extents, dtype=torch.float32, device=distance.device).view(num, 2)
        pixels = foreground.nonzero(as_tuple=True)
        boxes = pixel_boxes(distance, sides, pixels)
        if self.grouping == 'centers':
            image, scores, owner = self._join_centres(maps['heatmap'][:, 0].float(), sides, boxes, pixels[0])
        else:
            side = max((max(extent) for extent in extents), default=1)
            image, scores, owner = self._join_boxes(boxes, pixels[0], foreground, side)
        return number_groups(image, scores, owner, foreground, pixels, self.min_area)

    def _join_centres(self, heat: Tensor, sides: Tensor, boxes: Tensor, pixel_image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (N,) and scores (N,) of the peaks; (M,) the peak 0..N-1 of each pixel, -1 in an image without."""
        rows, cols = (torch.arange(size, device=heat.device) + 0.5 < sides[:, axis, None] for axis, size in enumerate(heat.shape[1:]))
        peaks = find_peaks(torch.where(rows[:, :, None] & cols[:, None], heat, 0.0), self.peak_radius, self.peak_threshold)
        peaks = peaks[best_rows(heat[tuple(peaks.T)], peaks[:, 0], len(heat), self.max_instances)]
        centres = (boxes[:2] + boxes[2:]) / 2

        def nearness(part: slice, rows: Tensor) -> Tensor:
            x, y = rows.sub_(centres[:, None, part]).square_()
            return x.add_(y).neg_()

        owner, _ = best_in_image(nearness, pixel_image, peaks[:, [2, 1]].T + 0.5, peaks[:, 0], len(heat))
        return peaks[:, 0], heat[tuple(peaks.T)].clamp(max=1), owner

    def _join_boxes(self, boxes: Tensor, pixel_image: Tensor, foreground: Tensor, side: float) -> tuple[Tensor, Tensor, Tensor]:
        """As `_join_centres`, of clusters; -1 where a box meets none."""
        num = len(foreground)
        votes, image, means = count_boxes(boxes, pixel_image, side)
        best = best_rows(votes, image, num, self.max_candidates)
        best = best[votes[best] >= self.min_votes]
        image, means = image[best], means[:, best]
        kept = (box_nms(means, image, num) >= self.nms_threshold).nonzero()[:, 0]
        kept = kept[places(image[kept], num) < self.max_instances]
        image, means = image[kept], means[:, kept]
        owner, iou = best_in_image(lambda part, rows: box_iou(rows, boxes[:, None, part]), pixel_image, means, image, num)
        owner = torch.where(iou > 0, owner, -1)
        agreed = segment_sum((iou.clamp(min=0) * _FINE).long(), owner + 1, len(image) + 1)[1:].double() / _FINE
        return image, (agreed / pixels_inside(foreground, means, image).clamp(min=1)).clamp(max=1).float(), owner


def pixel_boxes(distance: Tensor, sides: Tensor, pixels: tuple[Tensor, ...]) -> Tensor:
    """(4, M) float32 boxes (x1, y1, x2, y2) that pixels predict, in pixels of the map, multiples of 1 / `STEPS`.

    Args:
        distance: (B, 4, H, W) as `BoxDistanceCodec` has it; NaN counts as half a pixel.
        sides: (B, 2) height and width of each image without padding.
        pixels: image, y, x, (M,) int64 each.
    """
    image, y, x = pixels
    scale = sides[:, [1, 0, 1, 0]].T[:, image]
    away = distance[image, :, y, x].T.float() * scale
    away = torch.minimum(away.nan_to_num_(0.5), scale).clamp_(min=0.5)
    middle = torch.stack([x, y]) + 0.5
    return torch.cat([middle - away[:2], middle + away[2:]]).mul_(STEPS).round_().div_(STEPS)


def pixels_inside(mask: Tensor, boxes: Tensor, image: Tensor) -> Tensor:
    """(N,) int64: how many pixels of the mask (B, H, W) have their centres in a box.

    Args:
        boxes: (4, N) x1, y1, x2, y2 in pixels of the map.
        image: (N,) int64.
    """
    height, width = mask.shape[1:]
    total = F.pad(mask.long().cumsum(1).cumsum(2), (1, 0, 1, 0))
    x1, y1, x2, y2 = (torch.ceil(side - 0.5).long().clamp(0, most) for side, most in zip(boxes, (width, height) * 2, strict=True))
    return total[image, y2, x2] - total[image, y1, x2] - total[image, y2, x1] + total[image, y1, x1]


def number_groups(
    image: Tensor, scores: Tensor, owner: Tensor, foreground: Tensor, pixels: tuple[Tensor, ...], min_area: int
) -> list[InstanceMap]:
    """Numbers the groups of at least `min_area` pixels image by image.

    Args:
        image, scores: (N,) of the groups, image by image.
        owner: (M,) int64 group 0..N-1 of each pixel, -1 for none.
        foreground: (B, H, W).
        pixels: image, y, x, (M,) int64 each.
    """
    areas = segment_sum(torch.ones_like(owner), owner + 1, len(image) + 1)[1:]
    keep = areas >= min_area
    per_image = torch.bincount(image[keep], minlength=len(foreground))
    before = (per_image.cumsum(0) - per_image)[image]
    number = torch.where(keep, keep.cumsum(0) - before, 0).int()
    ids = torch.zeros_like(foreground, dtype=torch.int32, memory_format=torch.contiguous_format)
    ids[pixels] = torch.cat([number.new_zeros(1), number])[owner + 1]
    split = scores[keep].split(per_image.tolist())
    labels = [torch.zeros_like(one, dtype=torch.int64) for one in split]
    return [InstanceMap.from_ids(*columns) for columns in zip(ids, labels, split, strict=True)]
