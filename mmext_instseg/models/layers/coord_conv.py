"""Convolution that knows where it is."""

from typing import Any

import torch
from mmdet.models.utils import generate_coordinate
from torch import Tensor, nn


class CoordConv2d(nn.Conv2d):
    """CoordConv (Liu et al., 2018): a convolution over the input and two channels more, x and y from -1 to 1, border pixel to border pixel.

    Arguments are those of `nn.Conv2d`, `in_channels` without the two; `ConvModule(conv_cfg=dict(type=CoordConv2d))` takes it.
    """

    def __init__(self, in_channels: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(in_channels + 2, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H', W')."""
        return super().forward(torch.cat([x, generate_coordinate(x.shape, x.device).to(x.dtype)], dim=1))
