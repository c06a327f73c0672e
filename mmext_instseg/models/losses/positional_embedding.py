"""The pixel loss of centroid codes (pe_centroid_generalist_panoptic, Eqs. 1 and 4)."""

import torch
from torch import Tensor, nn

from ...registry import MODELS
from .precision import widen
from .reduction import normaliser, reduce_loss


@MODELS.register_module()
class PositionalEmbeddingLoss(nn.Module):
    """Half the distance of the codes of u plus half that of the codes of v (Eq. 4), averaged with the pixels' weights (Eq. 1).

    The average is over all pixels of the batch, on all ranks, so that every pixel of weight 1 counts alike (ours; Eq. 1 speaks of one
    image). Where prediction and target agree the norm has no derivative; it counts as 0.

    Args:
        parts: into how many equal parts the channels are split: 2, u and v. With 1 it is the distance of the whole vectors, for the RGB
            codes of Appendix C.
        loss_weight: factor of the loss.
    """

    def __init__(self, parts: int = 2, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.parts = parts
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | None = None) -> Tensor:
        """Loss in float32 (a prediction in float64 stays so).

        Args:
            pred, target: (B, C, H, W), u's code in the first C / 2 channels and v's in the others.
            weight: (B, H, W), for example Eq. 5's; 0 where ignored. None: 1.
            avg_factor: (), divides the sum; None: the sum of the weights, averaged over the ranks.

        Raises:
            ValueError: a number of channels that `parts` doesn't divide.
        """
        if pred.shape[1] % self.parts:
            raise ValueError(f'PositionalEmbeddingLoss: {pred.shape[1]} channels are not {self.parts} codes of one length')
        values = widen(pred)
        error = values - target.to(values)
        loss = torch.linalg.vector_norm(error.unflatten(1, (self.parts, -1)), dim=2).mean(dim=1)
        weight = torch.ones_like(loss) if weight is None else weight.to(loss)
        return self.loss_weight * reduce_loss(loss, 'mean', weight, normaliser(weight) if avg_factor is None else avg_factor)
