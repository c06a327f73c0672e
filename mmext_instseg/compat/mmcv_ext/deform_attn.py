"""Multi-scale deformable attention (Zhu et al. 2021, Eq. 3) by bilinear sampling, level by level.

mmcv calls these ops for CUDA tensors only; its own Python version serves the CPU, as these do when called directly.
"""

import torch.nn.functional as F
from torch import Tensor

from .precision import at_least_float32, gradients


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Weighted sums of sampled values, (B, Q, M D).

    `value` (B, S, M, D): the levels' pixels in raster order, M heads of D channels. `spatial_shapes` (L, 2) as (h, w)
    and `level_start_index` (L,) say where in S a level lies. `sampling_locations` (B, Q, M, L, P, 2) are (x, y) in
    0..1 over the whole level; beyond it values are 0. `attention_weights` (B, Q, M, L, P). `im2col_step` is a memory
    setting of the compiled op, without effect here.
    """
    values, locations, weights = at_least_float32(value, sampling_locations, attention_weights)
    return _attend(values, locations, weights, spatial_shapes.tolist(), level_start_index.tolist()).to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Fills the three gradients, shaped as what they belong to; arguments as in the forward op."""
    shapes, starts = spatial_shapes.tolist(), level_start_index.tolist()
    tensors = at_least_float32(value, sampling_locations, attention_weights)
    grads = gradients(lambda v, x, w: _attend(v, x, w, shapes, starts), tensors, grad_output)
    for buffer, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads, strict=True):
        buffer.copy_(gradient)


def _attend(value: Tensor, locations: Tensor, weights: Tensor, shapes: list[list[int]], starts: list[int]) -> Tensor:
    batch, queries, heads, _, points = weights.shape
    channels = value.shape[3]
    grid, total = 2 * locations - 1, value.new_zeros(batch * heads, channels, queries)
    for level, ((height, width), start) in enumerate(zip(shapes, starts, strict=True)):
        pixels = value[:, start : start + height * width].permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        where = grid[:, :, :, level].transpose(1, 2).reshape(batch * heads, queries, points, 2)
        weight = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        total = total + (F.grid_sample(pixels, where, padding_mode='zeros', align_corners=False) * weight).sum(-1)
    return total.view(batch, heads * channels, queries).transpose(1, 2).contiguous()
