"""What all heads share: a few convolutions that turn chosen features into dense maps.

Shapes: B images, (h, w) size of the maps, C channels.
"""

from abc import abstractmethod
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn


class DenseHead(BaseModule):
    """Network half of a head, and the three things the detector asks of it.

    A head reads feature `in_index` of (*neck outputs, *backbone outputs), so that one may read the encoder and another the decoder.
    Losses read `data_sample.gt_instance_map` (padded to the batch by `DenseDataPreprocessor`) at the size of the predicted maps.

    Args:
        in_channels: channels of the feature.
        out_channels: channels of the maps together.
        in_index: which feature.
        channels: width of the convolutions.
        num_convs: 3x3 convolutions before the last, 1x1 one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        in_index: int = 0,
        channels: int = 64,
        num_convs: int = 1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_index = in_index
        widths = [in_channels] + [channels] * num_convs
        self.convs = nn.Sequential(*(ConvModule(i, o, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg) for i, o in pairwise(widths)))
        self.project = nn.Conv2d(widths[-1], out_channels, 1)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """(B, out_channels, h, w) float32 raw output from the feature `in_index`.

        The last convolution is in float32 under autocast too: half precision has steps of a pixel from 256 pixels on.
        """
        hidden = self.convs(feats[self.in_index])
        with torch.autocast(hidden.device.type, enabled=False):
            return self.project(hidden.float())

    def loss(self, feats: tuple[Tensor, ...], data_samples: list) -> dict[str, Tensor]:
        """The head's losses, always the same keys; each reaches every parameter, whatever the images hold."""
        return self.loss_by_output(self(feats), data_samples)

    def predict(self, feats: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Maps by name, (B, C, h, w) float32, as the codec and the detector read them."""
        return self.maps_by_output(self(feats))

    @abstractmethod
    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses of a raw output (B, C, h, w) against B data samples."""

    @abstractmethod
    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        """Named maps of a raw output."""

    @abstractmethod
    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        """What `predict` would return at (h, w) were the network perfect: for oracles and ceilings."""
