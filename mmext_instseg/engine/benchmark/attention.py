"""Memory of position attention, against the form that holds the N x N matrix."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...models.layers import PositionAttention
from .measurement import peak_bytes

CHANNELS = 256
_LARGEST_MATRIX = 2**29  # bytes; the N x N form holds a few such matrices


@dataclass
class AttentionMemory:
    """Peak memory of a training step of `PositionAttention` with `CHANNELS` channels, on one map.

    Attributes:
        stride: of the map; tokens: N, its pixels.
        peak: bytes, see `peak_bytes`.
        matrix_peak: bytes of the form with the N x N matrix; where that is too large to be run, of one matrix alone.
        measured: whether `matrix_peak` was.
    """

    stride: int
    tokens: int
    peak: int
    matrix_peak: int
    measured: bool


def attention_memory(size: tuple[int, int], strides: Sequence[int], device: torch.device) -> Iterator[AttentionMemory]:
    """The memory at each stride of an image of (H, W) pixels.

    Raises:
        ValueError: the two forms give different results.
    """
    torch.manual_seed(0)
    module = PositionAttention(CHANNELS).to(device)
    for stride in strides:
        x = torch.randn(1, CHANNELS, -(-size[0] // stride), -(-size[1] // stride), device=device)
        tokens = x.shape[2] * x.shape[3]
        peak = peak_bytes(partial(_train, module, x), device)
        matrix, measured = 4 * tokens**2, 4 * tokens**2 <= _LARGEST_MATRIX
        if measured:
            _compare(module, x, stride)
            matrix = peak_bytes(partial(_train_with_matrix, module, x), device)
        yield AttentionMemory(stride, tokens, peak, matrix, measured)


def _train(module: PositionAttention, x: Tensor) -> None:
    module(x).sum().backward()
    module.zero_grad()


def _train_with_matrix(module: PositionAttention, x: Tensor) -> None:
    with sdpa_kernel(SDPBackend.MATH):
        _train(module, x)


@torch.no_grad()
def _compare(module: PositionAttention, x: Tensor, stride: int) -> None:
    found = module(x)
    with sdpa_kernel(SDPBackend.MATH):
        expected = module(x)
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-4):
        raise ValueError(f'position attention at stride {stride} differs from its N x N form, so their memory says nothing')
