"""What heads read from data samples; a sample may lack what a head is trained on (batches that mix data sets).

Shapes: (H, W) size of the batch's input, (h, w) size of the predicted maps.
"""

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from ...ops import sample_nearest
from ...structures import IGNORE, InstanceMap


def instance_map(sample: DetDataSample, shape: tuple[int, int], device: torch.device) -> InstanceMap:
    """The sample's instances at (h, w), or a map that is ignored everywhere."""
    if 'gt_instance_map' in sample:
        return sample.gt_instance_map.resize(shape)
    empty = torch.zeros(0, device=device)
    return InstanceMap.from_ids(torch.full(shape, IGNORE, device=device), empty)


def stuff_map(sample: DetDataSample, things: int, classes: int, shape: tuple[int, int] | None = None) -> Tensor | None:
    """Labels of stuff, int64, `classes` where there is none, (H, W) or at (h, w); None for a sample without `gt_sem_seg`."""
    if 'gt_sem_seg' not in sample:
        return None
    labels = sample.gt_sem_seg.sem_seg.squeeze(0).long()
    if shape is not None:
        labels = sample_nearest(labels, shape)
    return torch.where((labels >= things) & (labels < classes), labels, classes)


def pixel_labels(instances: InstanceMap, stuff: Tensor | None, classes: int, background: int, ignore: int) -> Tensor:
    """Class of each pixel: the instance's, else stuff.

    Args:
        instances: at the size of
        stuff: of `stuff_map`.
        classes: what stands for "none" in `stuff`.
        background: label where neither is and the sample has no stuff; with stuff, such a pixel is ignored: nobody labelled it.
        ignore: label of ignored pixels; stuff counts there too.

    Returns:
        labels of that size, int64.
    """
    labels = instances.label_map(background=background, ignore=ignore)
    if stuff is None:
        return labels
    return torch.where(instances.ids > 0, labels, torch.where(stuff < classes, stuff, ignore))


def segment_ids(instances: InstanceMap, stuff: Tensor | None, classes: int) -> Tensor:
    """Panoptic segments as ids: -1 ignored, 0 neither instance nor stuff, 1..K instances, above K stuff classes; int64."""
    ids = instances.ids.long()
    if stuff is None:
        return ids
    return torch.where((ids <= 0) & (stuff < classes), len(instances) + 1 + stuff, ids)
