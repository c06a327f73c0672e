"""SOLO's assignment of instances to grid cells, for a whole batch at once.

Shapes: B images, K instances of all images together (in the order of the images), L levels with g x g cells each, (h, w) size of
the mask features. Cells are numbered as the predictions of a batch are flattened: level, image, row, column; N = B * sum(g^2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops import mask_boxes, mask_moments, shrink_masks


@dataclass
class Instances:
    """The ground truth of a batch, at the mask stride.

    Attributes:
        boxes: (K, 4) float32 xyxy in pixels, the annotations' or, where there are none, the masks'.
        labels: (K,) int64; image: (K,) int64, the image of each.
        areas: (K,) int64; centroids: (K, 2) float32 (x, y) pixel indices of the masks at full size.
        masks: (K, h, w) bool.
        crowd: (B, h, w) bool, where a crowd region and no instance is; None if the batch has no crowd region.
    """

    boxes: Tensor
    labels: Tensor
    image: Tensor
    areas: Tensor
    centroids: Tensor
    masks: Tensor
    crowd: Tensor | None


@dataclass
class Candidates:
    """Pairs of a cell and an instance whose centre region covers it, M of them, in ascending order of the instances.

    Attributes:
        cell: (M,) int64 in [0, N); instance: (M,) int64 in [0, K); image: (M,) int64 in [0, B).
    """

    cell: Tensor
    instance: Tensor
    image: Tensor

    def __getitem__(self, index: Tensor) -> 'Candidates':
        return replace(self, cell=self.cell[index], instance=self.instance[index], image=self.image[index])

    def owner(self, num_cells: int) -> Tensor:
        """(N,) int64 instance of each cell, the last one where several claim it (as mmdet writes the label), -1 where none does."""
        nobody = torch.full((num_cells,), -1, device=self.cell.device)
        return nobody.scatter_reduce(0, self.cell, self.instance, 'amax')


def gather_instances(batch_gt: list, batch_ignored: list | None, shape: tuple[int, int], stride: int) -> Instances:
    """Brings the annotations of a batch to the device of its labels, one image's masks at full size at a time.

    Centroids are sum / area in float32 of exact sums: bit for bit mmdet's `center_of_mass`.

    Args:
        batch_gt: B `InstanceData` with labels, masks (BitmapMasks or PolygonMasks) and, unless the masks' shall do, bboxes.
        batch_ignored: `InstanceData` of crowd regions or None for each image, or None.
        shape: (h, w).
        stride: of the mask features.

    Returns:
        the instances. Memory on the device: the largest image's K * H * W bytes, and K * h * w for the whole batch.
    """
    device = batch_gt[0].labels.device
    batch_ignored = [None if one is None or not len(one) else one for one in batch_ignored or [None] * len(batch_gt)]
    boxes, areas, sums, masks, crowds = [], [], [], [], []
    for annotations, ignored in zip(batch_gt, batch_ignored, strict=True):
        full = annotations.masks.to_tensor(dtype=torch.bool, device=device)
        boxes.append(annotations.bboxes if 'bboxes' in annotations else mask_boxes(full))
        area, moment = mask_moments(full)
        areas.append(area)
        sums.append(moment)
        masks.append(shrink_masks(full, stride, shape))
        crowd = torch.zeros(shape, dtype=torch.bool, device=device)
        if ignored is not None:
            crowd = shrink_masks(ignored.masks.to_tensor(dtype=torch.bool, device=device), stride, shape).any(dim=0)
        crowds.append(crowd & ~masks[-1].any(dim=0))
    area = torch.cat(areas)
    return Instances(
        boxes=torch.cat(boxes),
        labels=torch.cat([annotations.labels for annotations in batch_gt]),
        image=torch.cat([torch.full((len(one),), row, device=device) for row, one in enumerate(areas)]),
        areas=area,
        centroids=torch.cat(sums).float() / area.float().clamp(min=1e-6)[:, None],
        masks=torch.cat(masks),
        crowd=torch.stack(crowds) if any(batch_ignored) else None,
    )


def assign_cells(
    instances: Instances,
    num_images: int,
    image_shape: tuple[int, int],
    scale_ranges: Sequence[tuple[float, float]],
    num_grids: Sequence[int],
    pos_scale: float,
) -> Candidates:
    """mmdet's `SOLOV2Head._get_targets_single` for all images at once: bit for bit its cells, in its order of operations.

    At every level whose range (bounds included) holds sqrt(box area), an instance claims the cells that its box, shrunk by
    `pos_scale` around the centroid, touches, at most one cell away from the centroid's: up to 3 x 3. Instances without mask claim none.

    Args:
        image_shape: (H, W) that the grids span: the mask features' size times their stride.
        scale_ranges, num_grids: of each level.

    Returns:
        the candidates, of each instance by level, row and column. Reads M back from the device, once a batch. Temporary memory about
        K * L * 9 * 16 bytes.
    """
    boxes, (x, y) = instances.boxes, instances.centroids.unbind(1)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side, half_width, half_height = torch.sqrt(width * height), 0.5 * width * pos_scale, 0.5 * height * pos_scale
    cells, valid, start = [], [], 0
    for (low, high), num in zip(scale_ranges, num_grids, strict=True):
        rows, in_rows = _span(y, half_height, image_shape[0], num)
        cols, in_cols = _span(x, half_width, image_shape[1], num)
        hit = (side >= low) & (side <= high) & (instances.areas > 0)
        cells.append(start * num_images + instances.image[:, None, None] * num**2 + rows[:, :, None] * num + cols[:, None, :])
        valid.append(hit[:, None, None] & in_rows[:, :, None] & in_cols[:, None, :])
        start += num**2
    index = torch.stack(valid, dim=1).flatten().nonzero().squeeze(1)
    instance = index // (len(num_grids) * 9)
    return Candidates(torch.stack(cells, dim=1).flatten()[index], instance, instances.image[instance])


def _span(centre: Tensor, half: Tensor, size: int, num: int) -> tuple[Tensor, Tensor]:
    """Three cells along one axis from the first of the centre region on, and which of them belong to it: (K, 3) int64, (K, 3) bool."""

    def cell(position: Tensor) -> Tensor:
        return torch.div(position / size, 1.0 / num, rounding_mode='trunc')

    first = torch.maximum(cell(centre - half).clamp(min=0), cell(centre) - 1)
    last = torch.minimum(cell(centre + half).clamp(max=num - 1), cell(centre) + 1)
    cells = first[:, None] + torch.arange(3, device=centre.device)
    return cells.long(), cells <= last[:, None]


def crowd_cells(crowd: Tensor, num_grids: Sequence[int]) -> Tensor:
    """Which cells lie in crowd regions by more than half: (B, h, w) bool -> (N,) bool."""
    levels = [F.adaptive_avg_pool2d(crowd[:, None].float(), num).flatten() for num in num_grids]
    return torch.cat(levels) > 0.5
