"""How well true instances are outlined, by their size."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from mmdet.evaluation.metrics import CocoMetric
from pycocotools import mask as coco_mask

from ..registry import METRICS
from .detection_accuracy import mask_ious, truths_and_predictions


@METRICS.register_module()
class IoUByArea(CocoMetric):
    """Mean, over the true instances of about one size, of the best IoU that a predicted mask has with them (0 where none was predicted).

    Classes and scores don't matter and a prediction may serve several instances, so it measures outlines alone: Figures 4 and 5 of
    pe_centroid_generalist_panoptic (which don't say how a prediction is chosen; this is ours). Instances as in `DetectionAccuracy`.

    Keys: `iou_by_area/8-16` for those whose side, the root of the area, is from 8 up to but not 16 pixels, the last one open
    (`iou_by_area/64-`); NaN where there are none; `iou_by_area/all`.

    Args:
        ann_file: COCO file; may be absent where the data samples hold `instances`.
        sides: ascending lower bounds of the bins in pixels, the first 0.
        **kwargs: as mmdet's `CocoMetric`.

    Raises:
        ValueError: other `sides`; from evaluation as `DetectionAccuracy`.
    """

    default_prefix = 'iou_by_area'

    def __init__(self, ann_file: str | None = None, sides: Sequence[int] = (0, 8, 16, 32, 64, 128), **kwargs) -> None:
        super().__init__(ann_file=ann_file, metric='segm', **kwargs)
        if not sides or sides[0] != 0 or any(low >= high for low, high in pairwise(sides)):
            raise ValueError(f'IoUByArea.sides: ascending lower bounds in pixels, the first 0; got {sides!r}')
        self.sides = tuple(sides)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See the class; `results` as of `CocoMetric`."""
        areas, best = [np.zeros(0)], [np.zeros(0)]
        for name, truth, masks in truths_and_predictions(self, results):
            areas.append(coco_mask.area(truth) if truth else np.zeros(0))
            best.append(mask_ious(masks, truth, name).max(axis=0, initial=0))
        iou, which = np.concatenate(best), np.digitize(np.sqrt(np.concatenate(areas)), self.sides) - 1
        names = [f'{low}-{high}' for low, high in pairwise((*self.sides, ''))]
        groups = {name: iou[which == index] for index, name in enumerate(names)} | {'all': iou}
        return {name: float(group.mean()) if len(group) else float('nan') for name, group in groups.items()}
