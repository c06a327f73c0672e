"""Depth losses (pe_centroid_generalist_panoptic, Appendix A): affine-invariant for disparity, scale-invariant log for metric depth.

Both average over the valid pixels of an image, then over the images that have any (ours: images with few valid pixels count like others).
Shapes: B images, N pixels.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ...registry import MODELS
from .precision import widen
from .reduction import normaliser, reduce_loss

_MIN_SCALE = 1e-6


class _DepthLoss(nn.Module, ABC):
    """A loss of each image, averaged.

    Args:
        loss_weight: factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss in float32 (a prediction in float64 stays so); 0 where nothing is valid.

        Args:
            pred: (B, ..., H, W).
            target: the same shape; unknown where 0 or less or not finite, so an image of zeros is left out.
        """
        pred = widen(pred).flatten(1)
        target = target.flatten(1).to(pred)
        valid = (target > 0) & target.isfinite()
        target = torch.where(valid, target, 0)  # infinity would reach the gradient as 0 * infinity
        counts = valid.any(dim=1)
        return self.loss_weight * reduce_loss(self.by_image(pred, target, valid), 'mean', counts, normaliser(counts))

    @abstractmethod
    def by_image(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """(B,) losses of (B, N) values; finite without a valid pixel."""


@MODELS.register_module()
class AffineInvariantDepthLoss(_DepthLoss):
    """Mean of |d*^ - d^| (Eq. 6), where each of the two is shifted by its own median and divided by its own mean deviation (Eqs. 7, 8).

    Both are taken over the valid pixels (ours), so that either may be of any scale and shift. The median of an even count is the mean
    of the middle two. A map of one value has no scale: it becomes 0 (ours).
    """

    def by_image(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return _mean((_align(pred, valid) - _align(target, valid)).abs(), valid)[:, 0]


@MODELS.register_module()
class SiLogDepthLoss(_DepthLoss):
    """mean(d^2) - lambda mean(d)^2 with d = log y - log y* (Eq. 9), without a square root, unlike mmseg's SiLogLoss.

    Args:
        variance_focus: lambda; at 1 the scale doesn't count at all. The paper takes 0.5.
        min_depth: predictions below count as this (ours), in the unit of the depth.
        loss_weight: factor of the loss.
    """

    def __init__(self, variance_focus: float = 0.5, min_depth: float = 1e-3, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.variance_focus = variance_focus
        self.min_depth = min_depth

    def by_image(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        error = pred.clamp(min=self.min_depth).log() - torch.where(valid, target, 1).log()
        return (_mean(error.square(), valid) - self.variance_focus * _mean(error, valid).square())[:, 0]


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """(B, 1) mean of the valid values of (B, N); 0 without any."""
    return torch.where(valid, values, 0).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)


def _median(values: Tensor, valid: Tensor) -> Tensor:
    """(B, 1) median of the valid values of (B, N), the mean of the middle two of an even count; 0 without any."""
    ordered = torch.where(valid, values, torch.inf).sort(dim=1).values
    last = valid.sum(dim=1, keepdim=True) - 1
    middle = torch.cat([last // 2, (last + 1) // 2], dim=1).clamp(min=0)
    return torch.where(last >= 0, ordered.gather(1, middle).mean(dim=1, keepdim=True), 0)


def _align(values: Tensor, valid: Tensor) -> Tensor:
    """Eq. 7 of (B, N) values; without a scale they are only shifted, to 0, and keep a gradient."""
    shifted = values - _median(values, valid)
    scale = _mean(shifted.abs(), valid)
    return shifted / torch.where(scale > _MIN_SCALE, scale, 1)
