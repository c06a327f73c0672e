"""How many of the true instances are found."""

import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation.metrics import CocoMetric
from pycocotools import mask as coco_mask
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from ..registry import METRICS
from .tables import detection_table, log_table


@METRICS.register_module()
class DetectionAccuracy(CocoMetric):
    """Share of the true instances that are found, whatever they are called (DCME, Section V-B, Table V).

    An instance is found where a predicted mask has an IoU above the threshold with it; a prediction finds one instance and an
    instance is found once. Of all such assignments the largest counts, so that neither scores nor order matter (ours; the paper
    doesn't say, and from a threshold of 0.5 up masks that don't overlap leave no choice). Instances are those of the tested images
    and the data set's classes; crowds are none. False detections cost nothing.

    Keys: `detection/accuracy_25` (in [0, 1], NaN where there is no instance at all), `detection/detections_25`, and so on for each
    threshold in per cent; `detection/instances`.

    Args:
        ann_file: COCO file; may be absent where the data samples hold `instances`.
        thresholds: IoUs in [0, 1).
        **kwargs: as mmdet's `CocoMetric`.

    Raises:
        ValueError: no thresholds or one outside [0, 1); from evaluation, naming the image or annotation: predictions without masks
            or of another size than the image, an image that `ann_file` lacks, an annotation without a mask.
    """

    default_prefix = 'detection'

    def __init__(self, ann_file: str | None = None, thresholds: Sequence[float] = (0.25, 0.5, 0.75), **kwargs) -> None:
        super().__init__(ann_file=ann_file, metric='segm', **kwargs)
        if not thresholds or not all(0 <= one < 1 for one in thresholds):
            raise ValueError(f'DetectionAccuracy.thresholds: IoUs from 0 up to but not 1; got {thresholds!r}')
        self.thresholds = tuple(thresholds)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See the class; `results` as of `CocoMetric`."""
        found, instances = np.zeros(len(self.thresholds), int), 0
        for name, truth, masks in truths_and_predictions(self, results):
            ious = mask_ious(masks, truth, name)
            found += [most_pairs(ious > threshold) for threshold in self.thresholds]
            instances += len(truth)
        metrics: dict[str, float] = {}
        for threshold, number in zip(self.thresholds, found.tolist(), strict=True):
            metrics[f'accuracy_{100 * threshold:g}'] = number / instances if instances else float('nan')
            metrics[f'detections_{100 * threshold:g}'] = number
        metrics['instances'] = instances
        log_table('Detection accuracy (DCME, Table V)', detection_table(metrics))
        return metrics


def truths_and_predictions(metric: CocoMetric, results: list) -> Iterator[tuple[str, list[dict], list[dict]]]:
    """For each image its name in messages, the RLEs of the true instances and those of the predicted ones.

    Args:
        metric: says which annotation file and which classes; without a file the truth is in the results.
        results: as of `CocoMetric`.

    Raises:
        ValueError: naming the image or annotation: predictions without masks, an image that the file lacks, an annotation without a mask.
    """
    name = type(metric).__name__
    truths, predictions = zip(*results, strict=True)
    coco = metric._coco_api
    if coco is None:
        with tempfile.TemporaryDirectory() as folder:
            coco = COCO(metric.gt_to_coco_json(truths, f'{folder}/truth'))
    categories = set(coco.get_cat_ids(cat_names=list(metric.dataset_meta['classes'])))
    for prediction in predictions:
        image = prediction['img_id']
        if image not in coco.imgs:
            raise ValueError(f'image {image!r} is not in the annotation file; give {name} the ann_file of the tested data set')
        if 'masks' not in prediction:
            raise ValueError(f'image {image!r}: the predictions have no masks, which {name} compares')
        yield f'image {image!r}', true_masks(coco, image, categories), list(prediction['masks'])


def true_masks(coco: COCO, image: int | str, categories: set[int]) -> list[dict]:
    """RLEs of an image's annotations of some categories, without crowds."""
    annotations = [one for one in coco.imgToAnns.get(image, ()) if one['category_id'] in categories and not one.get('iscrowd', 0)]
    for one in annotations:
        if not one.get('segmentation'):
            raise ValueError(f'annotation {one["id"]} has no segmentation; masks are compared here')
    return [coco.annToRLE(one) for one in annotations]


def mask_ious(predicted: Sequence[dict], truth: Sequence[dict], name: str) -> np.ndarray:
    """(P, T) float64 IoU of RLEs.

    Raises:
        ValueError: masks of different sizes, beginning with `name`.
    """
    if not len(predicted) or not len(truth):
        return np.zeros((len(predicted), len(truth)))
    sizes = {tuple(one['size']) for one in (*predicted, *truth)}
    if len(sizes) > 1:
        raise ValueError(f'{name}: predicted and true masks have different sizes [height, width]: {sorted(sizes)}')
    return np.asarray(coco_mask.iou(list(predicted), list(truth), [0] * len(truth)))


def most_pairs(allowed: np.ndarray) -> int:
    """How many pairs (row, column) can be chosen from those allowed, (P, T) bool, with each row and each column at most once."""
    return int((maximum_bipartite_matching(csr_matrix(allowed)) >= 0).sum()) if allowed.any() else 0
