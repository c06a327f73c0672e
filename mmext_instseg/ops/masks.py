"""Stacks of masks that may overlap: areas, moments, boxes, and their way to the mask stride and back.

Shapes: K masks, (H, W) image size, (h, w) size of the mask features. Nothing is read back to the host.
"""

import math
import mmap

import torch
import torch.nn.functional as F
from torch import Tensor

_LARGE = 2**24  # bytes
_PRIVATE = dict(flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) if hasattr(mmap, 'MAP_ANONYMOUS') else {}  # a system without has one kind


def blank_masks(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Zeros, bool. On a CPU large stacks are pages of the system's, which cost time and memory once they are written to.

    Masks of an image's objects leave most of their pages as they are; torch.zeros writes them all.
    """
    size = math.prod(shape)
    if device.type != 'cpu' or size < _LARGE:
        return torch.zeros(shape, dtype=torch.bool, device=device)
    return torch.frombuffer(mmap.mmap(-1, size, **_PRIVATE), dtype=torch.bool).view(shape)


def mask_moments(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Areas and first moments, exact.

    Eight pixels are added at a time, as the bytes of one integer: up to 255 ones fit into a byte, and torch adds int64 as they are
    but casts whole stacks of bool or uint8 first (25 times slower on a CPU).

    Args:
        masks: (K, H, W) bool.

    Returns:
        areas (K,) int64; sums (K, 2) int64 of the pixels' x and y indices. Temporary memory about K * (H * 8 + W) * 9 bytes, and a
        copy of the masks where 8 doesn't divide W.
    """
    num, height, width = masks.shape
    padded = F.pad(masks, (0, -width % 8)) if width % 8 else masks
    words = padded.contiguous().flatten()
    words = (words.clone() if words.storage_offset() % 8 else words).view(torch.int64).view(num, height, -(-width // 8))
    cols = torch.stack([part.sum(1).view(torch.uint8) for part in words.split(255, 1)]).sum(0)
    rows = torch.stack([part.sum(2, keepdim=True).view(torch.uint8) for part in words.split(255, 2)]).sum((0, 3))
    x, y = (torch.arange(count.shape[1], device=masks.device) for count in (cols, rows))
    return cols.sum(1), torch.stack([(cols * x).sum(1), (rows * y).sum(1)], dim=1)


def mask_boxes(masks: Tensor) -> Tensor:
    """Boxes around masks: (K, H, W) bool -> (K, 4) float32 (x1, y1, x2, y2), outer pixel edges; 0 for an empty mask."""
    low, high = [], []
    for hit in (masks.any(dim=1), masks.any(dim=2)):
        index = torch.arange(hit.shape[1], device=masks.device)
        low.append(torch.where(hit, index, hit.shape[1]).amin(dim=1))
        high.append(torch.where(hit, index + 1, 0).amax(dim=1))
    return (torch.stack(low + high, dim=1) * masks.flatten(1).any(dim=1)[:, None]).float()


def shrink_masks(masks: Tensor, stride: int, shape: tuple[int, int]) -> Tensor:
    """Masks at a stride, by the bilinear value in the middle of every stride x stride block, at least 1/2.

    That is what cv2.resize (bilinear, uint8, thus mmdet's SOLO targets) gives for sizes that `stride` divides.

    Args:
        masks: (K, H, W) bool; padded with False or cut to (stride * h, stride * w).
        shape: (h, w).

    Returns:
        (K, h, w) bool.
    """
    height, width = (side * stride for side in shape)
    if masks.shape[1:] != (height, width):
        masks = F.pad(masks, (0, width - masks.shape[2], 0, height - masks.shape[1]))
    left, right = (stride - 1) // 2, stride // 2  # the two pixels beside the middle, one and the same at odd strides
    pixels = masks.view(torch.uint8)
    rows = pixels[:, left::stride] + pixels[:, right::stride]
    return rows[:, :, left::stride] + rows[:, :, right::stride] >= 2


def enlarge_masks(
    probs: Tensor, stride: int, crop: tuple[int, int], shape: tuple[int, int], threshold: float, max_values: int = 2**25
) -> Tensor:
    """Brings mask probabilities to image size and thresholds them, a few masks at a time.

    Args:
        probs: (K, h, w) float.
        stride: they are enlarged bilinearly to (stride * h, stride * w), cut to
        crop: (rows, columns) the image without its padding, and resized bilinearly to
        shape: (H, W).
        threshold: a pixel belongs to the mask above it.
        max_values: temporary memory in values of 4 bytes, or one mask's stride^2 * h * w + H * W where that is more; 2^25: 134 MB.

    Returns:
        (K, H, W) bool.
    """
    full = (probs.shape[1] * stride, probs.shape[2] * stride)
    at_once = max(1, max_values // max(1, full[0] * full[1] + shape[0] * shape[1]))
    masks = torch.empty((len(probs), *shape), dtype=torch.bool, device=probs.device)
    for out, part in zip(masks.split(at_once), probs.split(at_once), strict=True):
        if not len(part):
            break
        image = F.interpolate(part[None], size=full, mode='bilinear', align_corners=False)[:, :, : crop[0], : crop[1]]
        if image.shape[-2:] != shape:
            image = F.interpolate(image, size=shape, mode='bilinear', align_corners=False)
        out.copy_(image[0] > threshold)
    return masks
