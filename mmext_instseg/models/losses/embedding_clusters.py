"""Embeddings grouped by instance: what every embedding loss is made of.

Shapes: B images, d dimensions, N = B * H * W pixels, K instances of the image that has most, at least 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops import segment_sum
from .precision import widen
from .reduction import normaliser, reduce_loss


@dataclass
class EmbeddingClusters:
    """Pixels' embeddings and their means by instance, in float32 or float64; nothing is read back from the device.

    A pixel without instance (background, ignored, overlap, padding) belongs to row 0 of its image and counts nowhere.

    Attributes:
        values: (N, d).
        row: (N,) int64 in [0, B (K + 1)): image * (K + 1) + id.
        areas: (B, K) int64 pixels of each instance; one without pixels counts nowhere.
        means: (B, K, d), c_k; 0 without pixels.
    """

    values: Tensor
    row: Tensor
    areas: Tensor
    means: Tensor

    @classmethod
    def of(cls, pred: Tensor, ids: Tensor, num: Sequence[int]) -> 'EmbeddingClusters':
        """Groups a batch in one pass over its pixels.

        Args:
            pred: (B, d, H, W) embeddings.
            ids: (B, H, W) integers; -1 ignored, 0 none, 1..K_b. Not checked: that would synchronise a device.
            num: K_b of each image.

        Raises:
            ValueError: a number of images or a size that differs.
        """
        if len(num) != len(pred) or ids.shape != pred[:, 0].shape:
            raise ValueError(
                f"embeddings of shape {tuple(pred.shape)} don't go with ids of shape {tuple(ids.shape)} and {len(num)} numbers of instances"
            )
        most = max([1, *num])
        shape = (len(pred), most + 1)
        values = widen(pred).movedim(1, -1).flatten(0, -2).contiguous()  # rows are added and compared faster than columns
        image = torch.arange(len(pred), device=ids.device).view(-1, 1, 1)
        row = (ids.long().clamp(min=0) + image * shape[1]).flatten()
        areas = segment_sum(torch.ones_like(row), row, shape[0] * shape[1]).view(shape)[:, 1:]
        sums = segment_sum(values, row, shape[0] * shape[1]).view(*shape, -1)[:, 1:]
        return cls(values, row, areas, sums / areas.clamp(min=1)[..., None])

    @property
    def present(self) -> Tensor:
        """(B, K) bool: instances with pixels."""
        return self.areas > 0

    def distance_to(self, points: Tensor) -> Tensor:
        """(N,) distance of each pixel to the point of its instance, of (B, K, d); where it is 0 its derivative is 0."""
        own = F.pad(points, (0, 0, 1, 0)).flatten(0, 1).index_select(0, self.row)
        return torch.linalg.vector_norm(self.values - own, dim=1)

    def distances(self) -> Tensor:
        """(B, K, K) distances between the means of an image; where it is 0 its derivative is 0.

        By a matrix product, as differences, and cdist's gradient on a GPU, hold K * K * d values; in float64, where it is as exact.
        """
        means = self.means.double()
        norms = means.square().sum(dim=2)
        square = norms[:, :, None] + norms[:, None] - 2 * torch.bmm(means, means.mT)
        apart = square > 0
        return (torch.where(apart, square, 1).sqrt() * apart).to(self.means)

    def nearest_other(self) -> Tensor:
        """(B, K, d) for each instance the mean nearest to its own, of another one of its image; any where there is none."""
        with torch.no_grad():
            itself = torch.eye(self.areas.shape[1], dtype=torch.bool, device=self.areas.device)
            index = self.distances().masked_fill(itself | ~self.present[:, None], torch.inf).argmin(dim=2)
        return self.means.gather(1, index[..., None].expand_as(self.means))

    def mean_over_pixels(self, loss: Tensor, fewest: int = 1) -> Tensor:
        """() mean of (N,) over an instance's pixels, an image's instances, and the images, on all ranks, with `fewest` of them or more."""
        weight = F.pad(self._share() / self.areas.clamp(min=1), (1, 0)).flatten().index_select(0, self.row)
        return self._mean_over_images((loss * weight).view(len(self.areas), -1).sum(dim=1), fewest)

    def mean_over_instances(self, loss: Tensor) -> Tensor:
        """() mean of (B, K) over an image's instances, and the images, on all ranks, that have any."""
        return self._mean_over_images((loss * self._share()).sum(dim=1), 1)

    def mean_over_pairs(self, loss: Tensor) -> Tensor:
        """() mean of (B, K, K) over an image's pairs of instances, and the images, on all ranks, with two or more."""
        pairs = (self.present[:, :, None] & self.present[:, None]).triu(diagonal=1)
        return self._mean_over_images((loss * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1), 2)

    def _share(self) -> Tensor:
        """(B, K) 1 / K_b, of the instances with pixels; 0 for the others."""
        return self.present.to(self.values) / self.present.sum(dim=1, keepdim=True).clamp(min=1)

    def _mean_over_images(self, loss: Tensor, fewest: int) -> Tensor:
        counts = self.present.sum(dim=1) >= fewest
        return reduce_loss(loss, 'mean', counts, normaliser(counts))
