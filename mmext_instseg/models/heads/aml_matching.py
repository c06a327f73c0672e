"""Adaptive minimum-loss matching (location_attention_solov2, Section 2.3): which instance a contested cell is trained on."""

import torch
from torch import Tensor

from ...ops import segment_sum


def combined_loss(cls_loss: Tensor, mask_loss: Tensor) -> Tensor:
    """Eq. 3, sigmoid(L_cate) + sigmoid(lambda L_mask), of each candidate: between 1 and 2 for losses of at least 0."""
    return cls_loss.sigmoid() + mask_loss.sigmoid()


def contested(cell: Tensor, num_cells: int) -> Tensor:
    """Rows of the candidates whose cell has another candidate too.

    Args:
        cell: (M,) int64 in [0, num_cells).

    Returns:
        (C,) int64, ascending. Reads C back from the device.
    """
    claims = segment_sum(torch.ones_like(cell), cell, num_cells)
    return (claims[cell] > 1).nonzero().squeeze(1)


def minimum_of_cell(cell: Tensor, cls_loss: Tensor, mask_loss: Tensor) -> Tensor:
    """The candidate with the smallest Eq. 3 of every cell.

    The sigmoids saturate (in float32 from a loss of 17 on), and Eq. 3 then can't tell candidates apart: the smaller
    L_cate + lambda L_mask wins a tie, then the earlier row (ours).

    Args:
        cell: (C,) int64; cls_loss: (C,) L_cate; mask_loss: (C,) lambda L_mask.

    Returns:
        (C,) bool, True once for every cell that occurs.
    """
    order = (cls_loss + mask_loss).argsort(stable=True)
    order = order[combined_loss(cls_loss, mask_loss)[order].argsort(stable=True)]
    order = order[cell[order].argsort(stable=True)]
    ranked = cell[order]
    first = torch.ones_like(ranked, dtype=torch.bool)
    first[1:] = ranked[1:] != ranked[:-1]
    return torch.zeros_like(first).scatter(0, order, first)
