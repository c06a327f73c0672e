"""Generalized Dice of centroid codes (pe_centroid_generalist_panoptic, Appendix B, Eqs. 12 to 14).

Shapes: B images, D = 4 L channels of a code, N = H * W pixels, K instances of the image that has most.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ...ops import segment_sum
from ...registry import MODELS
from .precision import widen
from .reduction import normaliser, reduce_loss

_CHUNK = 2**22  # values that the sum over instances holds at a time


@MODELS.register_module()
class GeneralizedDiceLoss(nn.Module):
    """1 - 2 sum_l w_l sum_i r_li p_li / sum_l w_l sum_i (r_li + p_li) of each image (Eq. 12), averaged over the images with instances.

    r is the true membership (Eq. 13), w_l = 1 / area, and p_li = exp(-dx^2) exp(-dy^2) with dx and dy the distances between the
    predicted code and the instance's in the u half and in the v half (Eq. 14): exp(-|y_i - c_l|^2), whatever the split. Void pixels
    count, ignored ones don't. A perfect prediction's loss is a little above 0, as a void pixel's p is exp(-2 L).

    The sum of r p needs each pixel's own instance alone, and w_l sum_i r_li is 1. What remains, sum_l w_l sum_i p_li, is one matrix product
    and is summed in chunks together with its gradient: at the peak about 4 bytes * 7 * B * D * N, and 4 bytes * max(2^22, B * (K + 4 D)),
    never K * N. Nothing is read back from the device.

    Args:
        loss_weight: factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, ids: Tensor, codes: Sequence[Tensor]) -> Tensor:
        """Loss in float32 (a prediction in float64 stays so); 0 where no image has an instance.

        Args:
            pred: (B, D, H, W) codes.
            ids: (B, H, W) integers; -1 ignored, 0 void, 1..K_b. Not checked: that would synchronise a device.
            codes: B tables (K_b, D), row l - 1 for instance l. Rows without pixels don't count.

        Raises:
            ValueError: a number of tables other than B, or of columns other than D.
        """
        if [table.shape[1:] for table in codes] != [pred.shape[1:2]] * len(pred):
            shapes = [tuple(table.shape) for table in codes]
            raise ValueError(f'GeneralizedDiceLoss: {len(pred)} images of {pred.shape[1]} channels, but tables of codes of shape {shapes}')
        values, owner = widen(pred).flatten(2), ids.flatten(1).long()
        table = pad_sequence([one.to(values) for one in codes], batch_first=True)
        areas = _areas(owner, table.shape[1])
        weight = torch.where(areas > 0, 1 / areas.to(values.dtype), 0)
        own_code, own_weight = _of_owner(table, owner), _of_owner(weight[..., None], owner)[:, 0]
        hits = (torch.exp(-(values - own_code).square().sum(dim=1)) * own_weight).sum(dim=1)
        present = (areas > 0).sum(dim=1)
        members = _SoftMembers.apply(values, owner >= 0, table, weight)
        loss = 1 - 2 * hits / (present + members).clamp(min=1)
        counts = present > 0
        return self.loss_weight * reduce_loss(loss, 'mean', counts, normaliser(counts))


def _areas(owner: Tensor, num: int) -> Tensor:
    """(B, K) int64 pixels of each instance; `owner` (B, N) int64."""
    rows = owner.clamp(min=0) + torch.arange(len(owner), device=owner.device)[:, None] * (num + 1)
    return segment_sum(torch.ones_like(rows).flatten(), rows.flatten(), len(owner) * (num + 1)).view(-1, num + 1)[:, 1:]


def _of_owner(table: Tensor, owner: Tensor) -> Tensor:
    """(B, D, N): each pixel's row of a table (B, K, D), 0 where it has no owner; `owner` (B, N) int64."""
    padded = torch.cat([table.new_zeros(len(table), 1, table.shape[2]), table], dim=1)
    return padded.mT.gather(2, owner.clamp(min=0)[:, None].expand(-1, table.shape[2], -1))


class _SoftMembers(torch.autograd.Function):
    """sum_l w_l sum_i exp(-|y_i - c_l|^2) of each image, over the valid pixels i.

    The gradient, 2 sum_l w_l p_li (c_l - y_i), needs the same p_li: it is computed with the sum and kept instead of them.
    """

    @staticmethod
    def forward(ctx, pred: Tensor, valid: Tensor, codes: Tensor, weight: Tensor) -> Tensor:
        """(B,) of pred (B, D, N), valid (B, N) bool, codes (B, K, D) and weight (B, K)."""
        num, dims, pixels = pred.shape
        size = max(1, _CHUNK // max(1, num * (codes.shape[1] + 4 * dims)))
        offset = -codes.square().sum(dim=2, keepdim=True)
        weighted = torch.cat([codes, torch.ones_like(offset)], dim=2).mul(weight[..., None]).mT  # one product for the sum and its gradient
        total, gradient = pred.new_zeros(num), torch.empty_like(pred)
        with torch.autocast(pred.device.type, enabled=False):
            for start in range(0, pixels, size):
                part = slice(start, start + size)
                y = pred[..., part]
                power = torch.baddbmm(offset, codes, y, alpha=2).sub_(y.square().sum(dim=1, keepdim=True))
                sums = torch.bmm(weighted, power.exp_()) * valid[:, None, part]
                total += sums[:, -1].sum(dim=1)
                gradient[..., part] = 2 * (sums[:, :-1] - y * sums[:, -1:])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_total: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_total[:, None, None], None, None, None
