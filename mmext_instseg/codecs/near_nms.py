"""Matrix NMS of candidates whose masks are all votes near their cells of a grid.

Shapes: B images, (R, C) rows and columns of the grid, N candidates.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import segment_sum


def _square(radius: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column offsets of a square window, ((2 * radius + 1)^2,) each, in raster order."""
    span = torch.arange(-radius, radius + 1, device=device)
    dy, dx = (grid.flatten() for grid in torch.meshgrid(span, span, indexing='ij'))
    return dy, dx


def _window(values: Tensor, cells: Tensor, radius: int) -> Tensor:
    """(N, (2 * radius + 1)^2) values around cells (N, 3) of (B, R, C), 0 outside."""
    span = torch.arange(2 * radius + 1, device=cells.device)
    padded = F.pad(values, (radius,) * 4)
    image, row, col = cells.unbind(1)
    return padded[image[:, None, None], row[:, None, None] + span[:, None], col[:, None, None] + span].flatten(1)


def near_sum(values: Tensor, cells: Tensor, radius: int) -> Tensor:
    """Sums of the values within a radius of cells.

    Args:
        values: (B, R, C).
        cells: (N, 3) (image, row, column).

    Returns:
        (N,) float64.
    """
    dy, dx = _square(radius, cells.device)
    return (_window(values, cells, radius) * (dy**2 + dx**2 <= radius**2)).double().sum(dim=1)


def near_nms(votes: Tensor, cells: Tensor, scores: Tensor, radius: int, sigma: float = 2.0) -> Tensor:
    """Factors of matrix NMS (Gaussian) between candidates whose masks are all votes within a radius of their cells.

    The same as `ops.matrix_nms` of those masks, without making them: candidates further than 2 * radius apart share nothing, so that N *
    (4 * radius + 1)^2 pairs are all, and what two masks share is a sum of few cells.

    Args:
        votes: (B, R, C) int64.
        cells: (N, 3) (image, row, column), each at most once.
        scores: (N,); of two equal ones the earlier is the better.

    Returns:
        (N,) float64 in (0, 1].
    """
    dy, dx = _square(radius, cells.device)
    far_y, far_x = _square(2 * radius, cells.device)
    disc = dy**2 + dx**2 <= radius**2
    lens = disc[:, None] & ((dy[:, None] - far_y) ** 2 + (dx[:, None] - far_x) ** 2 <= radius**2)
    around = _window(votes, cells, radius).double()
    shared, areas = around @ lens.double(), around @ disc.double()
    number = torch.zeros_like(votes)
    order = torch.argsort(scores, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(1, len(order) + 1, device=order.device))
    number[tuple(cells.unbind(1))] = rank
    other = _window(number, cells, 2 * radius)  # rank of the candidate there, 0: none
    better = (other > 0) & (other < rank[:, None])
    ranked = F.pad(areas[order], (1, 0))
    iou = torch.where(better, shared / (areas[:, None] + ranked[other] - shared).clamp(min=1), 0.0)
    covered = iou.amax(dim=1)
    decay = torch.exp(-sigma * (iou**2 - F.pad(covered[order], (1, 0))[other] ** 2))
    return torch.where(better, decay, 1.0).amin(dim=1).clamp(max=1)


def rank_in_image(scores: Tensor, image: Tensor, num: int) -> Tensor:
    """(N,) rank of each score among those of its image, from 0; of two equal ones the earlier is first."""
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[torch.argsort(image[order], stable=True)]
    size = segment_sum(torch.ones_like(image), image, num)
    place = torch.arange(len(image), device=image.device) - (size.cumsum(0) - size)[image[order]]
    return torch.empty_like(place).scatter_(0, order, place)
