"""AML-SOLOv2's mask loss (Eqs. 1, 2): Dice, and the distance between the predicted and the true centroid."""

import torch
from torch import Tensor, nn

from ...registry import MODELS
from .reduction import reduce_loss

_NO_MASS = 1e-6


def soft_centroids(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Masses (N,) and centroids (N, 2), (x, y) in pixel indices, of masks (N, h, w) with values in [0, 1]; (0, 0) without mass."""
    cols, rows = masks.sum(dim=1), masks.sum(dim=2)
    mass = cols.sum(dim=1)
    x, y = (torch.arange(side.shape[1], device=masks.device, dtype=masks.dtype) for side in (cols, rows))
    moments = torch.stack([(cols * x).sum(dim=1), (rows * y).sum(dim=1)], dim=1)
    return mass, moments / mass.clamp(min=_NO_MASS)[:, None]


def centroid_dice(probs: Tensor, target: Tensor, max_epsilon: float = 1.0) -> Tensor:
    """1 - Dice + epsilon of each mask: the summand of Eq. 1.

    Dice = (2 sum(m g) + 1) / (sum(m) + sum(g) + 1), mmdet's `naive_dice=True, eps=1`; epsilon (Eq. 2) is the squared distance of
    the centroids in pixels of the mask features over sum(m g) + 1.

    Args:
        probs: (N, h, w) float predicted masks m in [0, 1].
        target: (N, h, w) true masks g, same dtype.
        max_epsilon: bound of epsilon (ours: unbounded it reaches thousands beside a Dice of at most 1). Where either mask has no
            mass there is no centroid, and epsilon is 0 (ours).

    Returns:
        (N,) in [0, 1 + max_epsilon).
    """
    overlap = (probs * target).sum(dim=(1, 2))
    (mass, centre), (true_mass, true_centre) = soft_centroids(probs), soft_centroids(target)
    dice = (2 * overlap + 1) / (mass + true_mass + 1)
    epsilon = ((centre - true_centre).square().sum(dim=1) / (overlap + 1)).clamp(max=max_epsilon)
    return 1 - dice + torch.where((mass > _NO_MASS) & (true_mass > _NO_MASS), epsilon, 0)


@MODELS.register_module()
class CentroidDiceLoss(nn.Module):
    """`centroid_dice` of mask logits (location_attention_solov2, Eqs. 1 and 2), in float32 whatever autocast says.

    Memory for N masks: 4 bytes * N * h * w each for logits, probabilities and target, kept for the gradient.

    Args:
        loss_weight: lambda of Eq. 3; SOLOv2 takes 3.
        max_epsilon: bound of Eq. 2 (ours); `float('inf')` is the equation to the letter.
        reduction: 'mean' over the masks, 'sum' or 'none'.
    """

    def __init__(self, loss_weight: float = 1.0, max_epsilon: float = 1.0, reduction: str = 'mean') -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.max_epsilon = max_epsilon
        self.reduction = reduction

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Loss of mask logits against masks.

        Args:
            pred: (N, h, w) logits; float64 stays float64.
            target: (N, h, w) bool, or numbers in [0, 1].
            weight: (N,).
            avg_factor: divides the sum in place of N ('mean' only).
            reduction_override: takes the place of `reduction`.

        Returns:
            () or, with 'none', (N,).
        """
        probs = (pred if pred.dtype == torch.float64 else pred.float()).sigmoid()
        loss = centroid_dice(probs, target.to(probs.dtype), self.max_epsilon)
        return self.loss_weight * reduce_loss(loss, reduction_override or self.reduction, weight, avg_factor)
