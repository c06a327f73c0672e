"""Sigmoid focal loss (Lin et al. 2017, Eq. 5) and its derivative, written out.

With z = x for the class that is the target and z = -x for all others, p = sigmoid(z), q = 1 - p and a = alpha or
1 - alpha: loss = -a q^gamma log p, and dloss/dz = -a q^gamma (q - gamma p log p). Logarithms and q are taken from z
itself, so neither saturates; mmcv's kernel clamps log at about -87 instead.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import at_least_float32


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float) -> None:
    """Fills `output` (N, C) with the loss of the logits `input` (N, C).

    `target` (N,) int64 in 0..C-1; any other value, such as C for background, makes all classes negative. `weight` is
    empty or (C,), the factor of each row by its target; rows of another target get 1 (mmcv reads past the end there).
    """
    z, _, factor = _terms(input, target, weight, alpha)
    output.copy_(-factor * torch.sigmoid(-z) ** gamma * F.logsigmoid(z))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float) -> None:
    """Fills `grad_input` (N, C) with the derivative of the loss of each logit; arguments as in the forward op."""
    z, sign, factor = _terms(input, target, weight, alpha)
    q = torch.sigmoid(-z)
    grad_input.copy_(-sign * factor * q**gamma * (q - gamma * torch.sigmoid(z) * F.logsigmoid(z)))


def _terms(input: Tensor, target: Tensor, weight: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """z, its sign against x, and alpha or 1 - alpha times the weight, each (N, C)."""
    (logits,) = at_least_float32(input)
    positive = target[:, None] == torch.arange(logits.shape[1], device=logits.device)
    sign = positive.to(logits.dtype) * 2 - 1
    factor = torch.full_like(logits, 1 - alpha).masked_fill(positive, alpha)
    if weight.numel():
        known = (target >= 0) & (target < len(weight))
        factor = factor * torch.where(known, weight[target.where(known, 0)], 1).to(logits.dtype)[:, None]
    return sign * logits, sign, factor
