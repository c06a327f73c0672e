"""Tensors of other libraries under this package's names."""

import re
from collections.abc import Iterable

import torch
from torch import Tensor


def rename(state: dict[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Every rule, (pattern, replacement) as `re.sub` has them, applied to every name in turn."""
    renamed = {}
    for key, value in state.items():
        for theirs, ours in rules:
            key = re.sub(theirs, ours, key)
        renamed[key] = value
    return renamed


def join_attention(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's q_proj, k_proj and v_proj -> the in_proj_weight and in_proj_bias of torch's `MultiheadAttention`.

    Where one of the three is missing, the others stay apart.
    """
    joined = dict(state)
    for key in state:
        match = re.fullmatch(r'(.*\.)q_proj\.(weight|bias)', key)
        parts = [f'{match[1]}{name}_proj.{match[2]}' for name in 'qkv'] if match else []
        if match and all(part in state for part in parts):
            joined[f'{match[1]}in_proj_{match[2]}'] = torch.cat([joined.pop(part) for part in parts])
    return joined
