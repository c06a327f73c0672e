"""What every codec offers: an instance map becomes dense maps, dense maps become instance maps again.

Shapes: B images, C channels, (H, W) map size, K instances.
"""

from abc import ABCMeta, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from ..structures import InstanceMap


class BaseCodec(metaclass=ABCMeta):
    """A representation of instances by dense maps. Class-agnostic: labels are the detector's business."""

    #: Names and channels of the maps, in the order in which a head predicts them.
    channels: dict[str, int]

    @abstractmethod
    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        """Ideal maps of one image, on the instance map's device, by a gather from its table.

        Returns:
            maps: name -> (C, H, W) float32;
            weight: (H, W) float32, weight of each pixel in the loss; 0 where ignored.
        """

    @abstractmethod
    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None) -> list[InstanceMap]:
        """Instances of a batch, with scores in [0, 1] and labels 0.

        Args:
            maps: name -> (B, C, H, W); other names are ignored.
            foreground: (B, H, W) bool, the pixels that may belong to an instance; None: all of them.
        """

    def resize(self, maps: dict[str, Tensor], shape: tuple[int, int]) -> dict[str, Tensor]:
        """This codec's maps at another size: bilinear; values in pixels of the map are scaled along.

        Args:
            maps: name -> (B, C, H, W); other names are dropped.
        """
        own = {name: maps[name] for name in self.channels}
        return {name: resize_map(value, shape) for name, value in own.items()}


def resize_map(value: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) in float32; the same tensor where the size is right already."""
    if value.shape[-2:] == shape:
        return value
    return F.interpolate(value.float(), size=shape, mode='bilinear', align_corners=False)
