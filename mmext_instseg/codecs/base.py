"""What every codec offers: an instance map becomes dense maps, dense maps become instance maps again.

Shapes: B images, C channels, (H, W) map size, K instances.
"""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..structures import InstanceMap

Extents = Sequence[tuple[float, float]] | None


class BaseCodec(metaclass=ABCMeta):
    """A representation of instances by dense maps. Class-agnostic: labels are the detector's business."""

    #: Names and channels of the maps, in the order in which a head predicts them.
    channels: dict[str, int]

    @classmethod
    def arguments_at(cls, stride: int) -> dict:
        """Arguments with which maps of 1 / stride of the image's size are decoded as finely as the image (ours)."""
        return {}

    @abstractmethod
    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        """Ideal maps of one image, on the instance map's device, by a gather from its table.

        Returns:
            maps: name -> (C, H, W) float32;
            weight: (H, W) float32, weight of each pixel in the loss; 0 where ignored.
        """

    @abstractmethod
    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None, extents: Extents = None) -> list[InstanceMap]:
        """Instances of a batch at the maps' size, with scores in [0, 1] and labels 0.

        Maps coarser than the image aren't interpolated before: the values of two objects would mix at their border. The detector
        enlarges the decoded ids instead (`InstanceMap.enlarge`).

        Args:
            maps: name -> (B, C, H, W); other names are ignored.
            foreground: (B, H, W) bool, the pixels that may belong to an instance; None: all of them.
            extents: (height, width) of each image without padding, in pixels of the maps, for codes that refer to it; None: all of it.
        """


def pixel_weight(instances: InstanceMap, background: float, reference_side: float | None = None) -> Tensor:
    """(H, W) float32 weight of each pixel in a codec's loss: 0 where ignored.

    Args:
        background: weight of a pixel without an instance.
        reference_side: where given, an instance's weight is reference_side / sqrt(area), clipped to [0.25, 2], so that small objects
            count (ours); None: 1.
    """
    weight = torch.ones_like(instances.areas, dtype=torch.float32)
    if reference_side is not None:
        weight = (reference_side / instances.areas.clamp(min=1).sqrt()).clamp(0.25, 2.0)
    return torch.cat([weight.new_tensor([0.0, background]), weight])[instances.ids.long() + 1]
