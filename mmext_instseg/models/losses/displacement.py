"""The regression losses of DCME (Section IV) as ordinary differentiable functions: clipped (Eq. 6) and plain (Eq. 4)."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from .reduction import reduce_loss


def log_cosh(error: Tensor, amplitude: float = 4.0) -> Tensor:
    """A log cosh(x / 2), whose derivative is Eq. 6, A (1 / (1 + e^-x) - 1/2): linear near 0, clipped to +-A/2 far away.

    Written as A (|x|/2 + log1p((e^-|x| - 1) / 2)), which doesn't overflow and whose rounding error vanishes with x.

    Args:
        error: any shape, x = prediction - target.
        amplitude: A; the paper takes 4 at 512x1024.
    """
    size = error.abs()
    return amplitude * (size / 2 + torch.log1p(torch.expm1(-size) / 2))


class _RegressionLoss(nn.Module, ABC):
    """A loss of independent output values (Section IV-A): N = 2 n r c of them (Eq. 5).

    Args:
        reduction: 'mean' over the values, ours by default; 'sum' is the paper's gradient to the letter; 'images' divides the sum by
            the number of images n, as Caffe does; 'none'.
        loss_weight: factor of the reduced loss.
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
        """Loss of two tensors of one shape, in float32 whatever autocast says (float64 stays).

        Args:
            pred, target: (B, C, H, W), or any one shape.
            weight: broadcastable to that shape; 0 where ignored.
            avg_factor: divides the sum in place of the number of values ('mean' only).
        """
        error = (pred if pred.dtype == torch.float64 else pred.float()) - target
        return self.loss_weight * reduce_loss(self.penalty(error), self.reduction, weight, avg_factor)

    @abstractmethod
    def penalty(self, error: Tensor) -> Tensor:
        """Loss of each value, shape of `error` = prediction - target."""


@MODELS.register_module()
class LogCoshLoss(_RegressionLoss):
    """`log_cosh` of every value: the gradient is Eq. 6's, linear near 0 and clipped to +-A/2.

    Args:
        amplitude: A of Eq. 6.
        reference_shape: (H, W) at which A is `amplitude`; elsewhere A grows as the side of the map, A sqrt(h w / (H W)), since errors in
            pixels do (Section IV-B says that A follows the resolution, not how: ours). None: A is the same at every size.
    """

    def __init__(self, amplitude: float = 4.0, reference_shape: tuple[int, int] | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.amplitude = amplitude
        self.reference_shape = reference_shape

    def penalty(self, error: Tensor) -> Tensor:
        if self.reference_shape is None:
            return log_cosh(error, self.amplitude)
        return log_cosh(error, self.amplitude * math.sqrt(math.prod(error.shape[-2:]) / math.prod(self.reference_shape)))


@MODELS.register_module()
class EuclideanLoss(_RegressionLoss):
    """Half the squared error of every value, unclipped: the paper's baseline.

    `reduction='images'` is Caffe's Euclidean loss, 1 / (2 n) sum (Y - Y')^2, with the gradient (Y' - Y) / n.
    """

    def penalty(self, error: Tensor) -> Tensor:
        return error.square() / 2


@torch.no_grad()
def half_mean_squared_error(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Eq. 4, 1 / (2 N) sum (Y - Y')^2 over the values with a weight above 0: the unclipped figure that the paper reports.

    Args:
        pred, target: (B, C, H, W).
        weight: (B, 1, H, W).

    Returns:
        () float32; 0 where nothing counts.
    """
    counts = (weight > 0).float()
    total = (F.mse_loss(pred.float(), target, reduction='none') * counts).sum()
    return total / (2 * counts.sum() * pred.shape[1]).clamp(min=1)
