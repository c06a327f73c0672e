"""The clipped regression loss of DCME (Eqs. 4 to 6) as an ordinary differentiable function."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from .reduction import reduce_loss


def log_cosh(error: Tensor, amplitude: float = 4.0) -> Tensor:
    """A log cosh(x / 2), whose derivative is Eq. 6, A (1 / (1 + e^-x) - 1/2): linear near 0, clipped to +-A/2 far away.

    Written as A (|x|/2 + log1p(e^-|x|) - log 2), which neither overflows nor cancels.

    Args:
        error: any shape, x = prediction - target.
        amplitude: A; the paper takes 4 at 512x1024.
    """
    size = error.abs()
    return amplitude * (size / 2 + torch.log1p(torch.exp(-size)) - math.log(2))


@MODELS.register_module()
class LogCoshLoss(nn.Module):
    """`log_cosh` over independent output values (Section IV-A): N = 2 n r c of them (Eq. 5).

    Args:
        amplitude: A of Eq. 6.
        reduction: 'mean' over the values, ours by default; 'sum' is the gradient of Eq. 6 to the letter; 'none'.
        loss_weight: factor of the reduced loss.
    """

    def __init__(self, amplitude: float = 4.0, reduction: str = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        self.amplitude = amplitude
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
        """Loss of two tensors of one shape, in float32 whatever autocast says (float64 stays).

        Args:
            pred, target: same shape.
            weight: broadcastable to that shape; 0 where ignored.
            avg_factor: divides the sum in place of the number of values ('mean' only).
        """
        error = (pred if pred.dtype == torch.float64 else pred.float()) - target
        return self.loss_weight * reduce_loss(log_cosh(error, self.amplitude), self.reduction, weight, avg_factor)


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
