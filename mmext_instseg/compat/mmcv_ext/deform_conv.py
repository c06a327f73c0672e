"""Modulated deformable convolution (DCNv2), on torchvision, which lays offsets and masks out as mmcv does."""

from collections.abc import Callable

from torch import Tensor
from torchvision.ops import deform_conv2d

from .precision import at_least_float32, gradients


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    **geometry: int | bool,
) -> None:
    """Fills `output` (N, O, H', W').

    `input` (N, C, H, W), `weight` (O, C / group, kh, kw), `offset` (N, 2 dg kh kw, H', W') as (y, x) pairs, `mask`
    (N, dg kh kw, H', W'). `ones` and `columns` are work space of the compiled op, unused here. `geometry` holds
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, with_bias; kernel and group sizes follow from the shapes.
    """
    output.copy_(_convolution(geometry)(*at_least_float32(input, weight, bias, offset, mask)))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    **geometry: int | bool,
) -> None:
    """Fills the five gradients, shaped as what they belong to; `grad_bias` only with a bias."""
    inputs = at_least_float32(input, weight, bias, offset, mask)
    convolution = _convolution(geometry)
    buffers: tuple[Tensor, ...] = (grad_input, grad_weight, grad_bias, grad_offset, grad_mask)
    if geometry['with_bias']:
        grads = gradients(convolution, inputs, grad_output)
    else:
        empty = inputs.pop(2)
        grads = gradients(lambda x, w, o, m: convolution(x, w, empty, o, m), inputs, grad_output)
        buffers = (grad_input, grad_weight, grad_offset, grad_mask)
    for buffer, gradient in zip(buffers, grads, strict=True):
        buffer.copy_(gradient)


def _convolution(geometry: dict[str, int | bool]) -> Callable[..., Tensor]:
    stride, padding, dilation = ((geometry[f'{name}_h'], geometry[f'{name}_w']) for name in ('stride', 'pad', 'dilation'))

    def convolution(input: Tensor, weight: Tensor, bias: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        return deform_conv2d(input, offset, weight, bias if geometry['with_bias'] else None, stride, padding, dilation, mask)

    return convolution
