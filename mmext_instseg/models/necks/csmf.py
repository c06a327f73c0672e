"""CSMF: AML-SOLOv2's mask feature."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.utils import generate_coordinate
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS


@MODELS.register_module()
class CSMF(BaseModule):
    """Cross-stage mask feature fusion (Section 2.2, Fig. 4): one map at stride 4, on which SOLOv2's kernels make the masks.

        P5, x, y - 3x3 - S -- x2 -- concat - 3x3 -- x2 -- 3x3 -- x2 -- + - 1x1 - out
                         |           N4 -'                             |
                         '--- x8 -- + --- 3x3 -------------------------'
        P2 ------------ 1x1 --------'

    The paper gives the two ways: P5, doubled, is concatenated with N4; and P5 at 8 times its size is "a global semantic guide" to P2.
    It leaves the convolutions open. Ours: x and y (CoordConv, from -1 to 1) stand beside P5, the deepest input; all that is enlarged has
    `feat_channels`; the guide is added before a 3x3 convolution, which sees both; the two ways are added at the end. N3, N5, N6, P3
    and P4 aren't read (of N3 the size). Every convolution is followed by `norm_cfg` and ReLU; enlarging is bilinear.

    It is built as `mask_feature_head` of `AMLSOLOV2Head` and reads `TWFPN(return_top_down=True)`. On a plain FPN it reads P4 for N4.
    As a neck it comes second in a list, after TWFPN, and gives a decode head one map (docs/mmseg.md).

    Args:
        in_channels: channels of all inputs.
        feat_channels: channels within.
        out_channels: channels of the output.
        num_levels: how many N (or, of a plain FPN, P) come first.
        mask_stride: stride of N2 and of the output, in pixels; the head reads it here.
        norm_cfg: normalisation.
    """

    def __init__(
        self,
        in_channels: int = 256,
        feat_channels: int = 128,
        out_channels: int = 256,
        num_levels: int = 5,
        mask_stride: int = 4,
        norm_cfg: dict | None = dict(type='GN', num_groups=32),
        init_cfg: dict | list[dict] | None = dict(type='Normal', layer='Conv2d', std=0.01),
    ) -> None:
        super().__init__(init_cfg)
        self.num_levels = num_levels
        self.out_channels = out_channels
        self.mask_stride = mask_stride

        def conv(channels: int, size: int, outputs: int = feat_channels) -> ConvModule:
            return ConvModule(channels, outputs, size, padding=size // 2, norm_cfg=norm_cfg)

        self.deep = conv(in_channels + 2, 3)
        self.join = conv(feat_channels + in_channels, 3)
        self.carry = conv(feat_channels, 3)
        self.shallow = conv(in_channels, 1)
        self.guide = conv(feat_channels, 3)
        self.predict = conv(feat_channels, 1, out_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """(N2, ..., N6, P2, P3, P4, P5) or (P2, ..., P6), (B, in_channels, h, w) each -> one map (B, out_channels, h, w) of P2's size.

        Raises:
            ValueError: neither `num_levels` inputs nor four more.
        """
        if len(inputs) not in (self.num_levels, self.num_levels + 4):
            wanted = f'{self.num_levels} maps of an FPN or {self.num_levels + 4} of TWFPN with return_top_down=True'
            raise ValueError(f'CSMF reads {wanted}; there are {len(inputs)}')
        n3, n4 = inputs[1:3]
        p2, _, _, p5 = inputs[-4:] if len(inputs) > self.num_levels else inputs[:4]
        deep = self.deep(torch.cat([p5, generate_coordinate(p5.shape, p5.device)], dim=1))
        carried = self.join(torch.cat([_enlarge(deep, n4), n4], dim=1))
        carried = self.carry(_enlarge(carried, n3))
        guided = self.guide(self.shallow(p2) + _enlarge(deep, p2))
        return (self.predict(guided + _enlarge(carried, p2)),)


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode='bilinear', align_corners=False)
