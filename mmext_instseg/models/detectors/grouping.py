"""What the detectors with a codec share: from pixels of the network's maps to instances, without the batch's padding."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...codecs import BaseCodec
from ...structures import InstanceMap


def shown(sample: Any, shape: tuple[int, int]) -> tuple[float, float]:
    """How much of the batch's height and width (H, W) is the sample's image, without padding."""
    return sample.img_shape[0] / shape[0], sample.img_shape[1] / shape[1]


def group_pixels(codec: BaseCodec, maps: dict[str, Tensor], foreground: Tensor, parts: Sequence[tuple[float, float]]) -> list[InstanceMap]:
    """Instances at the size of the codec's maps; nothing in the padding.

    Args:
        maps: name -> (B, C, h, w).
        foreground: (B, h, w) bool, the pixels that may belong to an instance; those in the padding become False.
        parts: of `shown`, for each of B.
    """
    rows, cols = foreground.shape[1:]
    extents = [(rows * down, cols * across) for down, across in parts]
    for mask, (height, width) in zip(foreground, extents, strict=True):
        # Rows and columns whose centres are in the image
        mask[math.ceil(height - 0.5) :] = False
        mask[:, math.ceil(width - 0.5) :] = False
    return codec.decode(maps, foreground, extents)
