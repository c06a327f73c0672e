"""Between instance maps and the results that mmdet's metrics, visualisers and inferencers read.

Shapes: K instances, (H, W) image size.
"""

from itertools import pairwise

import numpy as np
import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as coco_mask
from torch import Tensor

from .instance_map import InstanceMap


def to_pred_instances(instances: InstanceMap, rle: bool = False) -> InstanceData:
    """mmdet's `pred_instances`.

    Args:
        instances: decoded instances; without scores they count as certain.
        rle: masks as compressed RLE, cost flat in K, instead of a tensor of K * H * W bytes.

    Returns:
        bboxes (K, 4) float32 xyxy of the masks, labels (K,) int64, scores (K,) float32, masks (K, H, W) bool or K RLE dicts.
    """
    scores = instances.scores if instances.scores is not None else torch.ones_like(instances.areas, dtype=torch.float32)
    masks = to_rle(instances) if rle else instances.masks()
    return InstanceData(bboxes=instances.boxes, labels=instances.labels, scores=scores.float(), masks=masks)


def from_pred_instances(pred: InstanceData, shape: tuple[int, int]) -> InstanceMap:
    """Flattens `pred_instances` into one map of K rows; where masks overlap, the higher score is on top, then the lower row.

    Args:
        pred: masks (K, H, W) bool, or K RLE dicts; labels; optionally scores.
        shape: (H, W), needed where K is 0.
    """
    masks = pred.masks
    if isinstance(masks, (list, tuple)):
        stacked = np.stack([coco_mask.decode(one) for one in masks]) if len(masks) else np.zeros((0, *shape), np.uint8)
        masks = torch.from_numpy(stacked).bool().to(pred.labels.device)
    num = len(pred.labels)
    scores = pred.scores if 'scores' in pred else torch.ones(num, device=pred.labels.device)
    order = scores.argsort(descending=True, stable=True)
    # first masked row in descending score order; row `num` is nobody
    rank = torch.where(masks[order], torch.arange(num, device=order.device).view(-1, 1, 1), num)
    top = torch.cat([rank, torch.full((1, *shape), num, device=order.device)]).amin(dim=0)
    ids = torch.cat([order + 1, order.new_zeros(1)])[top]
    return InstanceMap.from_ids(ids, pred.labels, scores.float())


def to_rle(instances: InstanceMap) -> list[dict]:
    """COCO's compressed RLE of every instance, from one pass over the column-major runs of the id map.

    Returns:
        K dicts with `size` [H, W] and `counts` (bytes).
    """
    height, width = instances.shape
    flat = instances.ids.T.flatten().cpu().numpy()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1]) if flat.size else np.zeros(0, np.int64)
    ends = np.append(starts[1:], flat.size)
    order = np.argsort(flat[starts], kind='stable')
    owner, starts, ends = flat[starts][order], starts[order], ends[order]
    first = np.searchsorted(owner, np.arange(1, len(instances) + 2))
    rles = []
    for begin, end in pairwise(first):
        # gap, run, gap, run, ..., gap: the differences of all borders
        borders = np.empty(2 * (end - begin) + 2, np.int64)
        borders[0], borders[-1] = 0, flat.size
        borders[1:-1:2], borders[2:-1:2] = starts[begin:end], ends[begin:end]
        counts = np.diff(borders).tolist()
        if end > begin and not counts[-1]:
            counts.pop()  # pycocotools' own form has no empty last gap
        rles.append(coco_mask.frPyObjects({'size': [height, width], 'counts': counts}, height, width))
    return rles


def to_coco_annotations(instances: InstanceMap) -> list[dict]:
    """A dict of each row in COCO's terms: `segmentation` (compressed RLE, bytes), `bbox` [x, y, width, height] of outer pixel edges,
    `area` in pixels, `category_id` (the label)."""
    sides = torch.cat([instances.boxes[:, :2], instances.boxes[:, 2:] - instances.boxes[:, :2]], dim=1)
    columns = zip(to_rle(instances), sides.tolist(), instances.areas.tolist(), instances.labels.tolist(), strict=True)
    return [dict(segmentation=rle, bbox=box, area=area, category_id=label) for rle, box, area, label in columns]


def to_panoptic_seg(instances: InstanceMap, stuff: Tensor, num_classes: int, offset: int = INSTANCE_OFFSET) -> PixelData:
    """mmdet's `pred_panoptic_seg`.

    Args:
        instances: labelled thing instances; they lie above the stuff.
        stuff: (H, W) integers, the stuff class of each pixel; `num_classes` is void.
        num_classes: things and stuff together.
        offset: factor of the instance id; must exceed `num_classes`, the void label.

    Returns:
        sem_seg (1, H, W) int64: label + instance id * offset for things (ids from 1), label alone for stuff.

    Raises:
        ValueError: `offset` would alias classes and instances.
    """
    _check_offset(num_classes, offset)
    ids = instances.ids.clamp(min=0).long()
    things = torch.cat([instances.labels.new_zeros(1), instances.labels])[ids] + ids * offset
    return PixelData(sem_seg=torch.where(ids > 0, things, stuff.long())[None])


def from_panoptic_seg(panoptic: PixelData, num_things: int, num_classes: int, offset: int = INSTANCE_OFFSET) -> tuple[InstanceMap, Tensor]:
    """Splits `pred_panoptic_seg` again: thing instances, in ascending order of their number, and the stuff map.

    Returns:
        the instances (reads K back from the device), and the stuff map (H, W) int64, `num_classes` where there is none.
    """
    _check_offset(num_classes, offset)
    values = panoptic.sem_seg.squeeze(0).long()
    labels = values % offset
    is_thing = labels < num_things
    found, inverse = values.unique(return_inverse=True)
    thing_row = found % offset < num_things
    number = torch.where(thing_row, thing_row.cumsum(0), 0)
    instances = InstanceMap.from_ids(number[inverse], (found % offset)[thing_row])
    return instances, torch.where(is_thing, num_classes, labels)


def _check_offset(num_classes: int, offset: int) -> None:
    if num_classes >= offset:
        raise ValueError(f'{num_classes} classes do not fit an offset of {offset}: pass an offset above the number of classes')
