"""RoIAlign with mean and with max pooling, on torchvision.

torchvision only takes the mean. A bin's sample points are the bin centres of a finer RoIAlign with one sample a bin,
so max pooling is that finer RoIAlign and `max_pool2d` after it.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from .precision import at_least_float32, gradients

MAX = 0  # mmcv's pool_mode: 0 max, 1 avg


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills `output` (K, C, aligned_height, aligned_width) from `input` (N, C, H, W) and `rois` (K, 5), index and xyxy.

    `sampling_ratio` 0 takes as many samples as a bin has pixels, rounded up. With max pooling, `argmax_y` and
    `argmax_x` receive row and column of the best sample *within its bin*, for the backward pass alone (mmcv keeps
    image coordinates there; small integers stay exact in bfloat16 too). A bin of no extent takes one sample.
    """
    features, boxes = at_least_float32(input, rois)
    size = (aligned_height, aligned_width)
    if pool_mode != MAX:
        output.copy_(roi_align(features, boxes, size, spatial_scale, sampling_ratio, aligned))
        return
    for chosen, (rows, columns) in _by_grid(boxes, size, spatial_scale, sampling_ratio, aligned):
        fine = (aligned_height * rows, aligned_width * columns)
        samples = roi_align(features, boxes[chosen], fine, spatial_scale, 1, aligned)
        best, position = F.max_pool2d(samples, (rows, columns), return_indices=True)
        output[chosen] = best.to(output.dtype)
        argmax_y[chosen] = (position // fine[1] % rows).to(argmax_y.dtype)
        argmax_x[chosen] = (position % columns).to(argmax_x.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills `grad_input` (N, C, H, W) from `grad_output` (K, C, aligned_height, aligned_width).

    RoIAlign is linear in its input, so its gradient needs no features. torchvision's public function is differentiated
    rather than its private backward op called: only the former has a deterministic GPU version.
    """
    gradient, boxes = at_least_float32(grad_output, rois)
    zeros = torch.zeros_like(grad_input, dtype=gradient.dtype)
    size = (aligned_height, aligned_width)
    if pool_mode != MAX:
        (found,) = gradients(lambda x: roi_align(x, boxes, size, spatial_scale, sampling_ratio, aligned), [zeros], gradient)
        grad_input.copy_(found)
        return
    for chosen, (rows, columns) in _by_grid(boxes, size, spatial_scale, sampling_ratio, aligned):
        fine, picked = (aligned_height * rows, aligned_width * columns), boxes[chosen]
        y = torch.arange(0, fine[0], rows, device=boxes.device)[:, None] + argmax_y[chosen].long()
        x = torch.arange(0, fine[1], columns, device=boxes.device) + argmax_x[chosen].long()
        spread = gradient.new_zeros(*y.shape[:2], fine[0] * fine[1])
        spread.scatter_(2, (y * fine[1] + x).flatten(2), gradient[chosen].flatten(2))
        part = gradients(lambda z, p=picked, f=fine: roi_align(z, p, f, spatial_scale, 1, aligned), [zeros], spread.unflatten(2, fine))
        grad_input += part[0].to(grad_input.dtype)


def _by_grid(boxes: Tensor, size: tuple[int, int], scale: float, ratio: int, aligned: bool) -> Iterator[tuple[Tensor, list[int]]]:
    """Groups of boxes that share the number of samples in a bin: (indices, [rows, columns])."""
    if ratio > 0 and len(boxes):
        yield torch.arange(len(boxes), device=boxes.device), [ratio, ratio]
    elif len(boxes):
        corners = boxes[:, 1:] * scale - (0.5 if aligned else 0.0)
        extent = (corners[:, 2:] - corners[:, :2]).flip(1)
        if not aligned:
            extent = extent.clamp(min=1)
        grids, group = torch.ceil(extent / extent.new_tensor(size)).clamp(min=1).long().unique(dim=0, return_inverse=True)
        for index, grid in enumerate(grids.tolist()):
            yield (group == index).nonzero()[:, 0], grid
