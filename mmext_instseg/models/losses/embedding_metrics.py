"""The losses of metric learning that Table 5 of embedding_unet_dbscan puts in the place of the hinge.

The paper gives no formulas. Ours: what is compared with a pixel is its own instance's mean c_k and the mean c_n nearest to that one, of
another instance of its image. So all pixels count, nothing is drawn, and memory at the peak is at most 4 bytes * 6 * N * d and about 35
bytes * B * K^2, where pairs and triplets of pixels would have to be sampled. Pixels, instances, images and ranks are averaged as in
`DiscriminativeLoss`, whose `forward` says what the arguments are; an image of one instance has only the terms that look at no other.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ...registry import MODELS
from .discriminative import separation
from .embedding_clusters import EmbeddingClusters


@MODELS.register_module()
class ContrastiveEmbeddingLoss(nn.Module):
    """The contrastive loss (Hadsell et al., 2006): |e_i - c_k|^2 / 2 for a pair that belongs together, max(0, m - |e_i - c_n|)^2 / 2 else.

    Args:
        margin: m; by default delta_dist of the discriminative loss (ours).
    """

    def __init__(self, margin: float = 2.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, pred: Tensor, ids: Tensor, num: Sequence[int]) -> dict[str, Tensor]:
        """`loss_var` of the first kind of pair and `loss_dist` of the second."""
        clusters = EmbeddingClusters.of(pred, ids, num)
        gap = (self.margin - clusters.distance_to(clusters.nearest_other())).clamp(min=0)
        return {'loss_var': _spread(clusters), 'loss_dist': clusters.mean_over_pixels(gap.square() / 2, fewest=2)}


@MODELS.register_module()
class TripletEmbeddingLoss(nn.Module):
    """The triplet loss: max(0, |e_i - c_k| - |e_i - c_n| + m), pixel, own mean, nearest other mean.

    Distances aren't squared (Hermans et al., 2017): the difference of two squares is linear in e_i and would pull along one line only.

    Args:
        margin: m; by default delta_dist - 2 delta_var of the discriminative loss, the gap between clusters that meet its thresholds (ours).
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, pred: Tensor, ids: Tensor, num: Sequence[int]) -> dict[str, Tensor]:
        """`loss_triplet`."""
        clusters = EmbeddingClusters.of(pred, ids, num)
        excess = clusters.distance_to(clusters.means) - clusters.distance_to(clusters.nearest_other()) + self.margin
        return {'loss_triplet': clusters.mean_over_pixels(excess.clamp(min=0), fewest=2)}


@MODELS.register_module()
class CenterEmbeddingLoss(nn.Module):
    """The centre loss (Wen et al., 2016): |e_i - c_k|^2 / 2, beside the discriminative loss's L_dist.

    Without L_dist its minimum would be one embedding for all (ours). The centres are the means of the image itself, not learned ones:
    instances aren't classes.

    Args:
        delta_dist: threshold of L_dist.
    """

    def __init__(self, delta_dist: float = 2.0) -> None:
        super().__init__()
        self.delta_dist = delta_dist

    def forward(self, pred: Tensor, ids: Tensor, num: Sequence[int]) -> dict[str, Tensor]:
        """`loss_var` of the pixels and `loss_dist` of the means."""
        clusters = EmbeddingClusters.of(pred, ids, num)
        return {'loss_var': _spread(clusters), 'loss_dist': separation(clusters, self.delta_dist)}


def _spread(clusters: EmbeddingClusters) -> Tensor:
    """() half the mean squared distance of the pixels to their means."""
    return clusters.mean_over_pixels(clusters.distance_to(clusters.means).square() / 2)
