"""TWFPN: AML-SOLOv2's feature pyramid, there and back."""

import torch.nn.functional as F
from mmdet.models.necks import PAFPN
from torch import Tensor

from ...registry import MODELS


@MODELS.register_module()
class TWFPN(PAFPN):
    """Two-way FPN (Section 2.2): top-down as FPN, then bottom-up, "to supplement the missing location information".

        C5 - 1x1 ------- 3x3 - P5 ----- + - 3x3 - N5 - every second value - N6
                  | x2            3x3/2 |
        C4 - 1x1 - + --- 3x3 - P4 ----- + - 3x3 - N4
                  | x2            3x3/2 |
        C3 - 1x1 - + --- 3x3 - P3 ----- + - 3x3 - N3
                  | x2            3x3/2 |
        C2 - 1x1 - + --- 3x3 - P2 ----------------N2

    The layers are those of mmdet's PAFPN, which goes up from the sums; here, as in PANet (Liu et al., 2018), each N is made from the N
    below it. N6 is FPN's extra level. Takes FPN's place in a config; N2 is P2.

    Args:
        in_channels: channels of the backbone's outputs, each at twice the stride of the one before.
        out_channels: channels of all maps.
        num_outs: how many N; each above the backbone's last is every second value of the one below. With `return_top_down` the last N
            may be left out, and their layers with them: 3 is all that `CSMF(num_levels=3)` reads.
        return_top_down: give the P as well, after the N (`CSMF` reads them).
        norm_cfg, act_cfg: of all convolutions, as in mmdet's FPN.

    Raises:
        ValueError: num_outs below 1, or below the number of inputs without `return_top_down`.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int = 256,
        num_outs: int = 5,
        return_top_down: bool = False,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = dict(type='Xavier', layer='Conv2d', distribution='uniform'),
    ) -> None:
        if num_outs < (1 if return_top_down else len(in_channels)):
            raise ValueError(f'TWFPN: num_outs={num_outs} of {len(in_channels)} inputs with return_top_down={return_top_down}')
        num = max(num_outs, len(in_channels))
        super().__init__(list(in_channels), out_channels, num, norm_cfg=norm_cfg, act_cfg=act_cfg, init_cfg=init_cfg)
        self.num_outs = num_outs
        self.return_top_down = return_top_down
        del self.downsample_convs[num_outs - 1 :], self.pafpn_convs[num_outs - 1 :]

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """(C2, C3, C4, C5), (B, C, h, w) each, h and w halved and rounded up from one to the next.

        -> (N2, N3, N4, N5, N6), as many as `num_outs`, then (P2, P3, P4, P5) with `return_top_down`: (B, out_channels, h, w) each.
        """
        top_down = super(PAFPN, self).forward(inputs)[: len(self.in_channels)]
        outs = [top_down[0]]
        for lateral, down, smooth in zip(top_down[1 : self.num_outs], self.downsample_convs, self.pafpn_convs, strict=True):
            outs.append(smooth(lateral + down(outs[-1])))
        while len(outs) < self.num_outs:
            outs.append(F.max_pool2d(outs[-1], 1, stride=2))
        return (*outs, *top_down) if self.return_top_down else tuple(outs)
