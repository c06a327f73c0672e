"""Non-maximum suppression, on torchvision."""

import torchvision.ops
from torch import Tensor

from .precision import at_least_float32


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices (M,) int64 of the boxes kept, by descending score.

    `boxes` (N, 4) xyxy, `scores` (N,). A box goes if its IoU with a better one is strictly above `iou_threshold`.
    `offset` 1 counts pixels inclusively (width = x2 - x1 + 1), which is the same as moving the far corners by 1.
    """
    boxes, scores = at_least_float32(boxes, scores)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores, iou_threshold)
