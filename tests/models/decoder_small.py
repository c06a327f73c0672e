"""A small DistanceMapDecoder and tokens for it."""

import torch
from torch import Tensor

from mmext_instseg.models.necks import DistanceMapDecoder
from mmext_instseg.registry import MODELS

SMALL = dict(
    type='DistanceMapDecoder',
    in_channels=(12, 12, 12),
    condition_channels=6,
    channels=8,
    num_heads=2,
    feedforward_channels=16,
    stage_channels=(8, 8, 4, 4),
)


def make(seed: int = 0, **changes) -> DistanceMapDecoder:
    torch.manual_seed(seed)
    return MODELS.build({**SMALL, **changes})


def taps(images: int = 2, grid: tuple[int, int] = (3, 3), channels: int = 12) -> tuple[Tensor, ...]:
    return tuple(torch.randn(images, 1 + grid[0] * grid[1], channels) for _ in range(3))
