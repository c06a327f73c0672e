"""The shared decoder of PE-centroid: patch features to nearly pixel features."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ...registry import MODELS


@MODELS.register_module()
class ShallowDecoder(BaseModule):
    """The taps of a ViT, concatenated, through 3 transposed convolutions, x2 each, and 1 convolution (Section 5.1).

        (B, C1 + .. + Cn, h, w) -- up x2 -- up x2 -- up x2 -- 3x3 -- (B, channels, 8h, 8w)

    From patches of 14 pixels the output is 8H/14 x 8W/14, a stride of 1.75. (Section 3.1 says four transposed convolutions; with Section
    5.1's sizes there are three.)

    Ours, where the paper is silent: the width; kernels of 2 at stride 2, which never overlap; their four phases start alike, so that the
    network begins as nearest-neighbour interpolation of random projections and not with a checkerboard that training must undo (Aitken et
    al., 2017); the last convolution is 3x3, the only one to see across the border of two patches. After each a layer norm over the
    channels of a pixel, and GELU, as in the ViT: neither depends on the size of the batch, on the image's or on its padding, which change
    from stage to stage, and batch norm would see the micro-batches of gradient accumulation.

    Cost: h * w * channels * (4 * sum of in_channels + 656 * channels) multiply-adds, 42 G at 420x420 with ViT-B, which takes 92 G itself.
    Memory in training, float32: 4 * B * h * w * (sum of in_channels + 380 * channels) bytes, 0.36 GB an image there.

    Args:
        in_channels: channels of each tap.
        channels: width of all layers and of the output.
        norm_cfg, act_cfg: after each layer.

    Attributes:
        out_channels: channels of the output, for the heads' `in_channels`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        norm_cfg: dict | None = dict(type=LayerNorm2d, eps=1e-6),  # leaves maps channels-last, at half the cost of mmpretrain's LN2d
        act_cfg: dict | None = dict(type='GELU'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.out_channels = channels
        layers: dict = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        widths = [sum(in_channels)] + [channels] * 3
        self.ups = nn.Sequential(*(ConvModule(i, o, 2, stride=2, conv_cfg=dict(type='deconv'), **layers) for i, o in pairwise(widths)))
        self.conv = ConvModule(channels, channels, 3, padding=1, **layers)

    @torch.no_grad()
    def init_weights(self) -> None:
        super().init_weights()
        for layer in self.ups:
            weight = layer.get_parameter('conv.weight')  # (in, out, 2, 2)
            phase = torch.randn(*weight.shape[:2], 1, 1) * sqrt(2 / weight.shape[0])
            weight.copy_(phase.expand_as(weight))

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        """The taps, (B, C, h, w) each -> one map (B, channels, 8h, 8w).

        Raises:
            ValueError: the taps aren't those of `in_channels`, or their sizes differ.
        """
        if tuple(tap.shape[1] for tap in inputs) != self.in_channels:
            raise ValueError(f'ShallowDecoder.in_channels are {list(self.in_channels)}; the inputs have {[tap.shape[1] for tap in inputs]}')
        if any(tap.shape[-2:] != inputs[0].shape[-2:] for tap in inputs):
            raise ValueError(f'ShallowDecoder: the inputs must be of one size, not {[tuple(tap.shape[-2:]) for tap in inputs]}')
        return (self.conv(self.ups(torch.cat(inputs, dim=1))),)
