"""The discriminative loss of pixel embeddings (embedding_unet_dbscan, Section 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...registry import MODELS
from .embedding_clusters import EmbeddingClusters


@MODELS.register_module()
class DiscriminativeLoss(nn.Module):
    """Pixels within `delta_var` of their instance's mean, means at least `delta_dist` apart: L_var and L_dist of Section 5.

        L_var  = mean over k of the mean over its pixels i of max(0, |e_i - c_k| - delta_var)^2
        L_dist = mean over pairs k < l of max(0, delta_dist - |c_k - c_l|)^2

    delta_dist is compared with the distance itself, as the paper writes it (De Brabandere et al., 2017, take 2 delta_dist). Overlap
    regions are ignored pixels (-1) and count for neither. Each term is averaged over the images, on all ranks, that have it: one instance
    for L_var, two for L_dist (ours; the paper speaks of one image). Lambda is the head's.

    One pass over the pixels, whatever K is, and nothing is read back from the device. Memory at the peak, in the backward pass, for
    N = B * H * W pixels: at most 4 bytes * 5 * N * d and about 35 bytes * B * K^2; never N * K * d nor N * K.

    Args:
        delta_var, delta_dist: the thresholds.
        weight_var, weight_dist: factors of the terms, for Table 3.
        weight_reg: factor of De Brabandere et al.'s mean over k of |c_k|; 0, the paper's, leaves it out.
    """

    def __init__(
        self,
        delta_var: float = 0.5,
        delta_dist: float = 2.0,
        weight_var: float = 1.0,
        weight_dist: float = 1.0,
        weight_reg: float = 0.0,
    ) -> None:
        super().__init__()
        self.delta_var = delta_var
        self.delta_dist = delta_dist
        self.weight_var = weight_var
        self.weight_dist = weight_dist
        self.weight_reg = weight_reg

    def forward(self, pred: Tensor, ids: Tensor, num: Sequence[int]) -> dict[str, Tensor]:
        """`loss_var`, `loss_dist` and, where it has a weight, `loss_reg`, in float32 (a prediction in float64 stays so).

        Args:
            pred: (B, d, H, W) embeddings.
            ids: (B, H, W) integers; -1 ignored, 0 none, 1..K_b.
            num: K_b of each image. Instances without pixels don't count.

        Raises:
            ValueError: a number of images or a size that differs.
        """
        clusters = EmbeddingClusters.of(pred, ids, num)
        excess = (clusters.distance_to(clusters.means) - self.delta_var).clamp(min=0)
        losses = {
            'loss_var': self.weight_var * clusters.mean_over_pixels(excess.square()),
            'loss_dist': self.weight_dist * separation(clusters, self.delta_dist),
        }
        if self.weight_reg > 0:
            losses['loss_reg'] = self.weight_reg * clusters.mean_over_instances(torch.linalg.vector_norm(clusters.means, dim=2))
        return losses


def separation(clusters: EmbeddingClusters, delta_dist: float) -> Tensor:
    """() L_dist: mean over the pairs of an image's instances of max(0, delta_dist - |c_k - c_l|)^2."""
    return clusters.mean_over_pairs((delta_dist - clusters.distances()).clamp(min=0).square())
