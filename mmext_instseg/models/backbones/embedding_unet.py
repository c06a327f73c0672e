"""The U-Net of embedding_unet_dbscan (Section 4)."""

from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...registry import MODELS


@MODELS.register_module()
class EmbeddingUNet(BaseModule):
    """U-Net whose decoder gives features for the heads; needs no neck.

        Down1 .. DownL: two convolutions each, 3x3 with batch norm and ReLU, and a max-pool; c, 2c, 4c, .. channels
        bottleneck: two convolutions of 2^L c channels, Dropout2d
        Up1 .. UpL: transposed convolution x2, concatenation with DownL .. Down1, 1x1 back to half of it, two convolutions

    Dropout comes after every Conv-BN-ReLU of the encoder and decoder but those of Down1, "to preserve low-level features", and of UpL, "the
    final layers before the output heads": 4 (L - 1) layers. Dropout2d comes once, after the bottleneck's second convolution. Ours, where
    the paper is silent: the kernels; the 1x1 convolution has batch norm ("in all convolutional layers") and no ReLU; the transposed one, of
    kernel and stride 2, has neither; depths other than 4 double on, to 7, 29 and 115 M parameters for L = 3, 4, 5 (the paper says + 40 %
    from 4 to 5).

    Outputs run from coarse to fine: output i, of `out_channels[i]` channels, is at stride 2^(L - 1 - i), the last one, `in_index=-1` at
    any depth, at stride 1 with c channels. By default: 512 at stride 8, 256 at 4, 128 at 2, 64 at 1.

    Args:
        in_channels: of the image.
        base_channels: c; 64 is the paper's.
        num_levels: L; 4 is the default, 3 and 5 are Section 8.3's.
        dropout, bottleneck_dropout: probabilities; at 0 the layer is left out.
        norm_cfg: batch norm of every convolution.

    Raises:
        ValueError: less than one level.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_levels: int = 4,
        dropout: float = 0.3,
        bottleneck_dropout: float = 0.5,
        norm_cfg: dict = dict(type='BN', momentum=0.1, eps=1e-5),
        init_cfg: dict | None = None,
    ) -> None:
        if num_levels < 1:
            raise ValueError(f'EmbeddingUNet.num_levels must be at least 1, not {num_levels}')
        super().__init__(init_cfg)
        widths = [base_channels * 2**level for level in range(num_levels + 1)]
        rates = [0.0] + [dropout] * (num_levels - 1)  # of Down1 ..; of .. UpL the other way round
        pairs = list(pairwise([in_channels, *widths[:-1]]))
        self.num_levels = num_levels
        self.out_channels = tuple(widths[-2::-1])
        self.downs = nn.ModuleList(_convs(i, o, rate, norm_cfg) for (i, o), rate in zip(pairs, rates, strict=True))
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = _convs(widths[-2], widths[-1], 0.0, norm_cfg)
        if bottleneck_dropout > 0:
            self.bottleneck.append(nn.Dropout2d(bottleneck_dropout))
        self.ups = nn.ModuleList(_Up(o, rate, norm_cfg) for o, rate in zip(self.out_channels, reversed(rates), strict=True))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) -> L features (B, out_channels[i], H / 2^(L - 1 - i), W / 2^(L - 1 - i)).

        Raises:
            ValueError: a side that 2^L doesn't divide.
        """
        height, width = x.shape[-2:]
        divisor = 2**self.num_levels
        if height % divisor or width % divisor:
            raise ValueError(
                f'EmbeddingUNet of {self.num_levels} levels halves each side {self.num_levels} times, which an input of {height} x {width} '
                f"doesn't allow: set pad_size_divisor={divisor} in the data preprocessor"
            )
        skips = []
        for down in self.downs:
            skips.append(down(x))
            x = self.pool(skips[-1])
        x = self.bottleneck(x)
        outs = []
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = up(x, skip)
            outs.append(x)
        return tuple(outs)


class _Up(nn.Module):
    """Twice the size, half the channels, joined by the encoder's feature of that size."""

    def __init__(self, channels: int, dropout: float, norm_cfg: dict) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.reduce = ConvModule(2 * channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.convs = _convs(channels, channels, dropout, norm_cfg)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, 2C, h, w) and the skip (B, C, 2h, 2w) -> (B, C, 2h, 2w)."""
        return self.convs(self.reduce(torch.cat([self.up(x), skip], dim=1)))


def _convs(in_channels: int, out_channels: int, dropout: float, norm_cfg: dict) -> nn.Sequential:
    """Two convolutions, each with dropout unless it is 0."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(ConvModule(channels, out_channels, 3, padding=1, norm_cfg=norm_cfg))
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
