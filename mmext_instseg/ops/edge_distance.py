"""Distance to the nearest boundary between segments, and the pixel weights made of it (pe_centroid_generalist_panoptic, Section 3.3.2).

Shapes: B images, (H, W) size of the map.
"""

import torch
from torch import Tensor

_CHUNK = 2**20  # values of the second pass held at a time; they stay in a CPU's cache


def edge_distance(segments: Tensor) -> Tensor:
    """Exact Euclidean distance of each pixel to the nearest boundary pixel, on the tensor's device and without reading it back.

    A pixel is a boundary pixel if one of its four neighbours lies in another segment, so that the distance is 0 on both sides of a
    boundary (ours). Ignored pixels (-1) make no boundary, nor does the border of the image.

    The squared distance is separable: D(y, x) = min over x' of (x - x')^2 + g(y, x')^2 with g the distance along the column, found by
    running maxima and minima. Time B H W min(H, W); memory about 30 bytes * B * H * W, and 4 bytes * max(2^20, min(H, W)^2) more.

    Args:
        segments: (B, H, W) integer ids, -1 ignored.

    Returns:
        (B, H, W) float32 in pixels; inf in an image without boundary. Squares are exact up to 2^24, rounded to float32 beyond.
    """
    boundary = _boundary(segments)
    if boundary.shape[1] < boundary.shape[2]:  # the second pass is the dear one: along the shorter side
        return _squared_distance(boundary.mT).mT.contiguous().sqrt()
    return _squared_distance(boundary).sqrt()


def edge_weight(distance: Tensor, d: float = 20.0, w_min: float = 0.0) -> Tensor:
    """Eq. 5: w_min + (1 - w_min) exp(-distance^2 / D^2), `w_min` at a distance of inf; shape of `distance`.

    Args:
        distance: in pixels.
        d: D, in pixels; the paper takes 20.
        w_min: weight far from every boundary, in [0, 1]; the paper takes 0.
    """
    return w_min + (1 - w_min) * torch.exp(-(distance / d).square())


def _boundary(segments: Tensor) -> Tensor:
    """(B, H, W) bool: pixels with a 4-neighbour of another id, neither of them ignored."""
    boundary = torch.zeros_like(segments, dtype=torch.bool)
    for axis in (1, 2):
        length = segments.shape[axis] - 1
        before, after = segments.narrow(axis, 0, length), segments.narrow(axis, 1, length)
        edge = (before != after) & (before >= 0) & (after >= 0)
        boundary.narrow(axis, 0, length).logical_or_(edge)
        boundary.narrow(axis, 1, length).logical_or_(edge)
    return boundary


def _squared_distance(points: Tensor) -> Tensor:
    """(B, H, W) float32 squared distances to the nearest True of a (B, H, W) mask; inf without one."""
    rows, cols = (torch.arange(size, dtype=torch.float32, device=points.device) for size in points.shape[1:])
    rows = rows[:, None]
    above = torch.where(points, rows, -torch.inf).cummax(dim=1).values
    below = torch.where(points, rows, torch.inf).flip(1).cummin(dim=1).values.flip(1)
    along = torch.minimum(rows - above, below - rows).square().flatten(0, 1)
    across = (cols[:, None] - cols).square()
    chunks = along.split(max(1, _CHUNK // across.numel()))
    return torch.cat([(chunk[:, None] + across).amin(dim=2) for chunk in chunks]).view(points.shape)
