"""The precision that losses are computed in."""

import torch
from torch import Tensor


def widen(values: Tensor) -> Tensor:
    """At least float32, whatever autocast made of the values; float64 stays float64 (gradcheck needs it)."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
