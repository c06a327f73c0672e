"""How every loss of this package is weighted, summed and averaged."""

import torch
from mmdet.utils import reduce_mean
from torch import Tensor


def reduce_loss(loss: Tensor, reduction: str, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
    """Weights and reduces element-wise losses.

    Args:
        loss: any shape.
        reduction: 'mean', 'sum', 'images' (the sum divided by B, the first dimension) or 'none'.
        weight: broadcastable to `loss`. Weights that are all 0 give 0, with a zero gradient, never NaN.
        avg_factor: divides the sum in place of the number of elements; values below 1e-6 count as 1e-6.

    Raises:
        ValueError: unknown reduction, or an avg_factor without 'mean'.
    """
    if reduction not in ('mean', 'sum', 'images', 'none'):
        raise ValueError(f"reduction must be 'mean', 'sum', 'images' or 'none', not {reduction!r}")
    if avg_factor is not None and reduction != 'mean':
        raise ValueError(f"avg_factor goes with reduction='mean', not {reduction!r}")
    if weight is not None:
        loss = loss * weight
    if reduction == 'none':
        return loss
    if reduction == 'sum':
        return loss.sum()
    if reduction == 'images':
        return loss.sum() / max(len(loss), 1)
    if avg_factor is None:
        return loss.sum() / max(loss.numel(), 1)
    return loss.sum() / torch.as_tensor(avg_factor, device=loss.device, dtype=loss.dtype).clamp(min=1e-6)


def normaliser(weight: Tensor) -> Tensor:
    """Sum of the weights, averaged over the ranks so that every rank divides by the same number; () float32, no host read."""
    return reduce_mean(weight.float().sum())
