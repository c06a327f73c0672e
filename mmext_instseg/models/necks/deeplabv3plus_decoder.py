"""DeepLabv3+'s decoder (Chen et al., 2018) with transposed convolutions, as the DCME paper has it."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from torch import Tensor, nn

from ...registry import MODELS


class Deconv(ConvModule):
    """Transposed convolution, 4x4, that doubles a map.

    It starts as bilinear interpolation, the custom since FCN (Long, Shelhamer and Darrell, 2015; Caffe's `bilinear` filler): of each
    channel where input and output have as many, else of a random 1x1 projection (He's initialisation).
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict | None, act_cfg: dict | None) -> None:
        super().__init__(
            in_channels, out_channels, 4, stride=2, padding=1, conv_cfg=dict(type='deconv'), norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    @torch.no_grad()
    def init_weights(self) -> None:
        super().init_weights()
        weight = self.conv.weight  # (in, out, 4, 4)
        num_in, num_out = weight.shape[:2]
        mix = torch.eye(num_in) if num_in == num_out else torch.randn(num_in, num_out) * sqrt(2 / num_in)
        ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
        weight.copy_(mix[:, :, None, None] * torch.outer(ramp, ramp))


@MODELS.register_module()
class DeepLabV3PlusDecoder(BaseModule):
    """ASPP and decoder; "the upsample layers were replaced by deconvolution layers, once they were more stable" (Section V).

        high -- ASPP: 1x1 | 3x3 dilated | image pooling -- 1x1 -- deconv x2 ... -- concat -- 3x3 -- 3x3 -- deconv x2 ... -- out
        low ------------------------------------------------- 1x1 to 48 channels ---'

    Every deconv doubles the size; their numbers follow from the strides. The last ones, up to the image's resolution (where the loss has
    N = 2nrc values, Eq. 5), and their widths are ours: DeepLabv3+ stops at the low-level feature. The image pooling has no
    normalisation (ours: over B values it is noise, and with one image impossible).

    A deconv may miss the low-level feature by less than a step where sizes were rounded: rows and columns are cut below and to the
    right, or the last ones repeated, so that nothing moves. The output is low-level size * low-level stride / `out_stride`: the image's
    size / `out_stride` exactly where the low-level stride divides it (pad images to a multiple of the encoder's stride), else less than one
    low-level step more, for backbones that round up.

    Let the backbone end with `high_index`, dilated to its stride (mmdet: `strides` and `dilations`; timm: `output_stride`). timm keeps the
    stages after the outputs asked for; they would never get a gradient, and distributed training stops at such parameters.

    Memory at the defaults (image H x W, float32): training keeps about 8 * B * H * W * (sum of c / stride^2 over the deconvs after the
    concatenation + 4.5 * channels / low-level stride^2) bytes, 0.5 GB an image at 512x1024; prediction peaks at about
    4 * B * H * W * (2 * 32 + 64 / 4) bytes, 0.17 GB.

    Args:
        in_channels: channels of each of the backbone's outputs.
        in_strides: their strides.
        low_index, high_index: the low-level feature, and the deepest one.
        channels: width of ASPP and decoder.
        low_channels: what the low-level feature is reduced to.
        dilations: rates of ASPP at stride 16; doubled at 8, halved at 32.
        up_channels: widths of the deconvs after the concatenation, as many of them as `out_stride` needs; the last is the output's.
        out_stride: stride of the output.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        low_index: int = 0,
        high_index: int = -1,
        channels: int = 256,
        low_channels: int = 48,
        dilations: Sequence[int] = (6, 12, 18),
        up_channels: Sequence[int] = (64, 32),
        out_stride: int = 1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict = dict(type='ReLU'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) != len(in_strides):
            raise ValueError(f'DeepLabV3PlusDecoder: in_channels {list(in_channels)} and in_strides {list(in_strides)} differ in number')
        self.num_ins = len(in_channels)
        self.low_index, self.high_index = low_index, high_index
        low_stride, high_stride = in_strides[low_index], in_strides[high_index]
        to_low = _doublings(high_stride, low_stride, 'in_strides (high, low)')
        to_out = _doublings(low_stride, out_stride, 'in_strides (low) and out_stride')
        if len(up_channels) < to_out:
            raise ValueError(f'DeepLabV3PlusDecoder: {to_out} up_channels are needed from stride {low_stride} to {out_stride}')
        self.high_step = 2**to_low

        layers: dict = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        high = in_channels[high_index]
        rates = (1, *(max(1, rate * 16 // high_stride) for rate in dilations))
        self.aspp = ASPPModule(rates, high, channels, conv_cfg=None, **layers)
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(high, channels, 1, act_cfg=act_cfg))
        self.bottleneck = ConvModule((len(rates) + 1) * channels, channels, 1, **layers)
        self.up_high = nn.Sequential(*(Deconv(channels, channels, **layers) for _ in range(to_low)))
        self.reduce_low = ConvModule(in_channels[low_index], low_channels, 1, **layers)
        self.fuse = nn.Sequential(
            ConvModule(channels + low_channels, channels, 3, padding=1, **layers), ConvModule(channels, channels, 3, padding=1, **layers)
        )
        widths = [channels, *up_channels[:to_out]]
        self.up_out = nn.Sequential(*(Deconv(i, o, **layers) for i, o in pairwise(widths)))
        self.out_channels = widths[-1]

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        """The backbone's outputs, (B, C, h, w) each -> one map (B, up_channels[-1], h_low * stride_low / out_stride, likewise)."""
        if len(inputs) != self.num_ins:
            raise ValueError(f"DeepLabV3PlusDecoder has {self.num_ins} in_channels; the backbone's outputs are {len(inputs)}")
        low, high = inputs[self.low_index], inputs[self.high_index]
        pooled = self.image_pool(high).expand(-1, -1, *high.shape[-2:])
        x = self.up_high(self.bottleneck(torch.cat([*self.aspp(high), pooled], dim=1)))
        x = self._fit(x, low.shape[-2:])
        return (self.up_out(self.fuse(torch.cat([x, self.reduce_low(low)], dim=1))),)

    def _fit(self, x: Tensor, shape: torch.Size) -> Tensor:
        """Cuts below and to the right, or repeats the last row and column, up to (h, w)."""
        rows, cols = (wanted - got for wanted, got in zip(shape, x.shape[-2:], strict=True))
        if max(abs(rows), abs(cols)) >= self.high_step:
            got = tuple(x.shape[-2:])
            raise ValueError(f"DeepLabV3PlusDecoder.in_strides aren't the backbone's: {got} should come near the low-level {tuple(shape)}")
        x = x[..., : shape[0], : shape[1]]
        return F.pad(x, (0, max(cols, 0), 0, max(rows, 0)), mode='replicate') if max(rows, cols) > 0 else x


def _doublings(large: int, small: int, what: str) -> int:
    """log2(large / small)."""
    ratio = large // small
    if ratio < 1 or ratio * small != large or ratio & (ratio - 1):
        raise ValueError(f'DeepLabV3PlusDecoder: the ratio of {what} must be 1, 2, 4, ...; they are {large} and {small}')
    return ratio.bit_length() - 1
