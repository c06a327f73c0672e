"""The confidence that embedding_unet_dbscan shows with its results (Section 6.4): for display only.

It measures how large an object's box is, not whether the object is there: a wrong mask across the image has confidence 1, a perfect
small one hardly any. AP ranks by the scores of the instances instead.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: (3, 3) uint8 RGB of low, medium and high confidence: red, orange, green.
CONFIDENCE_COLOURS = np.array([(214, 39, 40), (255, 127, 14), (44, 160, 44)], dtype=np.uint8)


@dataclass
class ConfidenceStatistics:
    """Of the objects whose confidence is at least a threshold.

    Attributes:
        count: N.
        mean: their average confidence; 0 without any. The paper's formula sums over all objects but divides by N; here both are the same.
        high, medium, low: how many of them are of each level.
    """

    count: int
    mean: float
    high: int
    medium: int
    low: int

    def __str__(self) -> str:
        return f'{self.count} objects, mean {self.mean:.2f}: {self.high} high (green), {self.medium} medium, {self.low} low (red)'


def size_confidence(boxes: Tensor, shape: tuple[int, int], alpha: float = 0.1) -> Tensor:
    """C_k = min(w_k h_k / (W H alpha), 1).

    Args:
        boxes: (K, 4) (x1, y1, x2, y2) in pixels.
        shape: (H, W) of the image.

    Returns:
        (K,) float32 in [0, 1].
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).double().clamp(min=0)
    return (sides.prod(dim=1) / (shape[0] * shape[1] * alpha)).clamp(max=1).float()


def confidence_level(confidence: Tensor) -> Tensor:
    """(K,) int64: 2 high, above 0.7; 1 medium, 0.5 to 0.7; 0 low, below 0.5."""
    return (confidence >= 0.5).long() + (confidence > 0.7).long()


def confidence_colours(confidence: Tensor) -> np.ndarray:
    """(K,) confidences -> (K, 3) uint8 RGB: green, orange or red."""
    return CONFIDENCE_COLOURS[confidence_level(confidence).cpu().numpy()]


def confidence_statistics(confidence: Tensor, threshold: float = 0.0) -> ConfidenceStatistics:
    """What Section 6.4 tells of an image.

    Args:
        confidence: (K,).
        threshold: tau_conf; an object counts from it on.
    """
    counted = confidence[confidence >= threshold]
    low, medium, high = torch.bincount(confidence_level(counted), minlength=3).tolist()
    mean = float(counted.double().mean()) if len(counted) else 0.0
    return ConfidenceStatistics(len(counted), mean, high, medium, low)
