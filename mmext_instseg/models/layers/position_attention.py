"""Position attention, the module between residual blocks of AML-SOLOv2's backbone."""

from math import sqrt

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

# What torch's Conv2d starts with.
TORCH_INIT = dict(type='Kaiming', layer='Conv2d', a=sqrt(5), mode='fan_in', nonlinearity='leaky_relu', distribution='uniform')


class PositionAttention(BaseModule):
    """Section 2.1 and Fig. 3: each position gathers from all others what resembles it.

        x -- 1x1 --+-- T1 -- * theta -------------------------- concat -- 1x1 -- T3
                   +-- P, A, M -- softmax(P^T A) M -- 1x1 -- T2 --'

    T1, P, A and M have C / 8 channels each, from separate 1x1 convolutions (here one with 4 C / 8 outputs); softmax over keys, without
    1 / sqrt(C). T2 has C / 8 as well (ours; the paper's C2 is open): being linear in softmax(P^T A) M, a wider one could hold nothing more.
    C / 8 is rounded up to a multiple of 8 (ours), which GPU kernels of linear memory ask for: at the paper's widths it is C / 8.

    The convolutions start as torch's do (ours): He's initialisation, without 1 / sqrt(C), makes P^T A so large that softmax picks one key.
    theta starts at 0. Until it has moved, the part of the first convolution that makes T1 has a zero gradient, but it has one, so that
    distributed training doesn't wait for it; theta's own isn't zero.

    Memory is linear in the N = H * W tokens: training keeps about 4 * 1.25 C * B * N bytes in float32 besides input and output. Time is
    quadratic: N^2 * C / 4 multiplications an image.

    Args:
        channels: C, of input and output.
        residual: T3 is added to the input (ours; Fig. 3 has no way around the module).
    """

    def __init__(self, channels: int, residual: bool = False, init_cfg: dict | list[dict] | None = TORCH_INIT) -> None:
        super().__init__(init_cfg)
        reduced = -(-channels // 64) * 8
        self.residual = residual
        self.reduce = nn.Conv2d(channels, 4 * reduced, 1)  # T1, P, A, M
        self.project = nn.Conv2d(reduced, reduced, 1)
        self.fuse = nn.Conv2d(2 * reduced, channels, 1)
        self.theta = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), any size -> the same."""
        t1, *pam = self.reduce(x).chunk(4, dim=1)
        # (B, 1, N, C / 8) each. Contiguous: with strides torch would fall back to the N x N matrix.
        query, key, value = (part.flatten(2).transpose(1, 2).unsqueeze(1).contiguous() for part in pam)
        gathered = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        t2 = self.project(gathered.squeeze(1).transpose(1, 2).reshape(t1.shape))
        t3 = self.fuse(torch.cat([self.theta * t1, t2], dim=1))
        return x + t3 if self.residual else t3
