"""Matrix NMS (SOLOv2, arXiv 2003.10152, section 3.3), exact at any mask size and under autocast."""

import torch
from torch import Tensor

_CHUNK = 2**18  # pixels at a time; float32 counts exactly up to 2^24


def mask_intersections(masks: Tensor) -> Tensor:
    """Pixels that each pair of masks shares.

    Args:
        masks: (K, ...) bool.

    Returns:
        (K, K) int64. Temporary memory: 4 bytes * K * min(pixels, 2^18).
    """
    flat = masks.flatten(1)
    total = torch.zeros((flat.shape[0], flat.shape[0]), dtype=torch.int64, device=masks.device)
    with torch.autocast(masks.device.type, enabled=False):  # float16 overflows at 65,504 pixels
        for start in range(0, flat.shape[1], _CHUNK):
            chunk = flat[:, start : start + _CHUNK].float()
            total += (chunk @ chunk.T).long()
    return total


def mask_iou(masks: Tensor) -> Tensor:
    """IoU of each pair of masks: (K, ...) bool -> (K, K) float32; 0 for two empty masks."""
    shared = mask_intersections(masks)
    areas = shared.diagonal()
    union = areas[:, None] + areas[None, :] - shared
    return (shared.double() / union.clamp(min=1)).float()


def matrix_nms(masks: Tensor, labels: Tensor, scores: Tensor, kernel: str = 'gaussian', sigma: float = 2.0) -> Tensor:
    """Scores decayed by the overlap with better masks of the same class.

    Args:
        masks: (K, H, W) bool.
        labels: (K,) integers.
        scores: (K,) float; need not be sorted. Of two equal scores the earlier one is the better.
        kernel: 'gaussian': exp(-sigma IoU^2), mmdet's form; 'linear': 1 - IoU.

    Returns:
        (K,) float32 decayed scores, in the order given.

    Raises:
        ValueError: unknown kernel.
    """
    if kernel not in ('gaussian', 'linear'):
        raise ValueError(f"kernel must be 'gaussian' or 'linear', not {kernel!r}")
    order = torch.argsort(scores, descending=True, stable=True)
    masks, labels, ranked = masks[order], labels[order], scores[order].float()
    # iou[i, j]: how much the better mask i covers the worse mask j of its class
    iou = torch.triu(mask_iou(masks), diagonal=1) * (labels[:, None] == labels[None, :])
    covered = iou.amax(dim=0) if len(order) else ranked  # how much i itself is covered by a better one
    if kernel == 'gaussian':
        decay = torch.exp(-sigma * (iou**2 - covered[:, None] ** 2))
    else:
        decay = (1 - iou) / (1 - covered[:, None]).clamp(min=torch.finfo(torch.float32).tiny)
    decay = decay.amin(dim=0) if len(order) else ranked
    return torch.empty_like(ranked).scatter_(0, order, ranked * decay)
