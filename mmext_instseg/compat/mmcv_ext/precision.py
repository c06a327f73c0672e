"""What all ops share: the dtype they compute in, and gradients by autograd inside a hand-written backward."""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor


def at_least_float32(*tensors: Tensor) -> list[Tensor]:
    """The tensors in one common floating dtype, float32 or wider.

    torchvision's kernels want a single dtype and have no bfloat16 on CPU (float16 only in part), while mmcv is called
    with whatever autocast left. The caller's buffers are filled with `copy_`, which casts back.
    """
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
    return [tensor.to(dtype) for tensor in tensors]


def gradients(function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor) -> tuple[Tensor, ...]:
    """Gradients of `function(*inputs)` with respect to every input, weighted by `grad_output`.

    mmcv calls the ops inside `autograd.Function`, where gradients are off; the graph is made anew here.
    """
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        output = function(*leaves)
    return torch.autograd.grad(output, leaves, grad_output.to(output.dtype))
