"""Total variation of a dense prediction (pe_centroid_generalist_panoptic, Appendix B, Eqs. 10 and 11)."""

import torch
from torch import Tensor, nn

from ...registry import MODELS
from .precision import widen
from .reduction import normaliser, reduce_loss


@MODELS.register_module()
class TotalVariationLoss(nn.Module):
    """How much each pixel's prediction differs from its two neighbours', averaged over the pixels (ours: the sum grows with the image).

    - 'norm', Eq. 10: |y(i, j) - y(i - 1, j)| + |y(i, j) - y(i, j - 1)|, the Euclidean norm of the whole vector; 0 has derivative 0.
    - 'cross_entropy', Eq. 11: (H(P(i, j), P(i + 1, j)) + H(P(i, j), P(i, j + 1))) / 2 with P the softmax of the logits and
      H(a, b) = -a log b. Its least value is the entropy, so it sharpens as well.

    Every pixel counts alike, whatever its distance from a boundary, if it and both neighbours are valid: on the border of the image one
    is missing, as in Eq. 11's sum.

    Args:
        kind: 'norm' for codes, 'cross_entropy' for logits.
        loss_weight: factor of the loss.
    """

    def __init__(self, kind: str = 'norm', loss_weight: float = 1.0) -> None:
        super().__init__()
        if kind not in ('norm', 'cross_entropy'):
            raise ValueError(f"TotalVariationLoss: kind must be 'norm' or 'cross_entropy', not {kind!r}")
        self.kind = kind
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, valid: Tensor | None = None) -> Tensor:
        """Loss in float32 (a prediction in float64 stays so).

        Args:
            pred: (B, C, H, W) codes or logits.
            valid: (B, H, W) bool, False for padding. None: all pixels.
        """
        pred = widen(pred)
        valid = torch.ones_like(pred[:, 0], dtype=torch.bool) if valid is None else valid.bool()
        if self.kind == 'norm':
            pixel, vertical, horizontal = _with_previous(pred)
            loss = torch.linalg.vector_norm(pixel - vertical, dim=1) + torch.linalg.vector_norm(pixel - horizontal, dim=1)
            own, *neighbours = _with_previous(valid)
        else:
            pixel, vertical, horizontal = _with_next(pred.log_softmax(dim=1))
            loss = -(pixel.exp() * (vertical + horizontal)).sum(dim=1) / 2
            own, *neighbours = _with_next(valid)
        counts = own & neighbours[0] & neighbours[1]
        return self.loss_weight * reduce_loss(loss, 'mean', counts, normaliser(counts))


def _with_previous(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., H - 1, W - 1) pixels with an upper and a left neighbour, and these two."""
    return values[..., 1:, 1:], values[..., :-1, 1:], values[..., 1:, :-1]


def _with_next(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., H - 1, W - 1) pixels with a lower and a right neighbour, and these two."""
    return values[..., :-1, :-1], values[..., 1:, :-1], values[..., :-1, 1:]
