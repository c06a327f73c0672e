"""Conditioning of features by a vector."""

from torch import Tensor, nn


class FiLM(nn.Module):
    """Feature-wise linear modulation (Perez et al., 2018) in CLIPSeg's form: mul(condition) * x + add(condition).

    Args:
        condition_channels: D.
        channels: C of the features.
    """

    def __init__(self, condition_channels: int, channels: int) -> None:
        super().__init__()
        self.mul = nn.Linear(condition_channels, channels)
        self.add = nn.Linear(condition_channels, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, L, C) tokens and (N, D) -> (N, L, C)."""
        return self.mul(condition)[:, None] * x + self.add(condition)[:, None]
