"""Made-up images with annotations, and made-up network outputs that hold a known number of instances, for races between detectors.

Shapes: (H, W) size of the image, (h, w) of the mask features, K instances, C classes.
"""

import torch
from mmdet.models.dense_heads import SOLOV2Head
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor

from ...ops import mask_boxes
from .decode import draw_blobs

CANDIDATES = 5  # cells of SOLO's grids that find the same instance
_SURE = 8.0  # a logit


def draw_overlapping(size: tuple[int, int], count: int, seed: int = 0) -> Tensor:
    """Masks (K, H, W) bool of ellipses; every fifth stands in the middle of another one, so that their cells are contested."""
    inner = count // 5
    blobs = draw_blobs(size, count - inner, seed)
    masks = blobs.ids == torch.arange(1, count - inner + 1)[:, None, None]
    x1, y1, x2, y2 = blobs.boxes[:inner, :, None, None].unbind(1)
    y, x = torch.arange(size[0])[:, None] + 0.5, torch.arange(size[1]) + 0.5
    inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 0.6**2
    return torch.cat([masks[:inner] & ~inside, masks[inner:], inside])


def make_batch(size: tuple[int, int], count: int, num_images: int, num_classes: int, seed: int = 0) -> dict:
    """What a data loader gives: noise, annotated as `draw_overlapping` draws; originals of half the size, labels in turn."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for number in range(num_images):
        meta = dict(img_shape=size, ori_shape=(size[0] // 2, size[1] // 2), scale_factor=(2.0, 2.0), img_id=number)
        masks = draw_overlapping(size, count, seed + number)
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=mask_boxes(masks), labels=torch.arange(count) % num_classes, masks=BitmapMasks(masks.numpy().astype('uint8'), *size)
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long(), masks=BitmapMasks([], *size))
        samples.append(sample)
    return dict(inputs=[torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8) for _ in samples], data_samples=samples)


def solo_outputs(head: SOLOV2Head, shape: tuple[int, int], count: int, seed: int = 0) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Kernels, class logits and mask features of one image, as SOLOv2's head gives them, for K ellipses.

    Mask feature k is ellipse k. `CANDIDATES` cells (of even row and column, so that none outshines its neighbour) have its kernel
    and class; one has a score of 0.5 or more, the others under 0.3, so that matrix NMS brings them below SOLOv2's threshold.

    Args:
        head: with dynamic_conv_size 1.
        shape: (h, w).
        count: K, at most the channels of the mask features.

    Raises:
        ValueError: the grids have too few cells for K.
    """
    dims = head.kernel_out_channels
    cells = [
        (level, row, col) for level in range(2) for row in range(0, head.num_grids[level], 2) for col in range(0, head.num_grids[level], 2)
    ]
    if count > min(dims, len(cells) // CANDIDATES):
        raise ValueError(f'{count} instances are too many for one output of SOLOv2; {min(dims, len(cells) // CANDIDATES)} fit')
    feats = torch.full((1, dims, *shape), -_SURE)
    feats[0, :count] = (draw_blobs(shape, count, seed).ids == torch.arange(1, count + 1)[:, None, None]) * 2 * _SURE - _SURE
    kernels = [torch.zeros(1, dims, num, num) for num in head.num_grids]
    classes = [torch.full((1, head.cls_out_channels, num, num), -_SURE) for num in head.num_grids]
    best, others = torch.linspace(0.9, 0.5, count), torch.linspace(0.3, 0.15, (CANDIDATES - 1) * count)
    chosen = torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))
    for rank, (index, logit) in enumerate(zip(chosen.tolist(), torch.cat([best, others]).logit(), strict=False)):
        level, row, col = cells[index]
        kernels[level][0, rank % count, row, col] = 1
        classes[level][0, rank % count % head.cls_out_channels, row, col] = logit
    return kernels, classes, feats


def rcnn_outputs(num_rois: int, num_classes: int, size: tuple[int, int], count: int, seed: int = 0) -> tuple[Tensor, ...]:
    """RoIs (R, 5), class logits (R, C + 1), box offsets (R, 4 C) and mask logits (K, C, 28, 28) of one image with K ellipses.

    The RoIs are their boxes in turn, and as sure of their classes as each other.
    """
    rows = torch.arange(num_rois)
    rois = torch.cat([torch.zeros(num_rois, 1), draw_blobs(size, count, seed).boxes[rows % count]], dim=1)
    logits = torch.full((num_rois, num_classes + 1), -_SURE)
    logits[rows, rows % count % num_classes] = torch.linspace(_SURE, _SURE / 2, num_rois)
    masks = torch.randn(count, num_classes, 28, 28, generator=torch.Generator().manual_seed(seed))
    return rois, logits, torch.zeros(num_rois, 4 * num_classes), masks
