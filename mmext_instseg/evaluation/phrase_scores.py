"""What a prediction for a phrase is worth: pure functions of masks as COCO's compressed RLE ('size', 'counts')."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class PhraseResult:
    """Truth and prediction of one (image, phrase) pair.

    Attributes:
        union: RLE of the predicted mask of all that the phrase means.
        masks: RLEs of the predicted instances.
        scores: of the predicted instances.
        truth: RLEs of the true instances.
        ignored: RLEs of regions where nobody knows; true instances lie above them.
    """

    union: dict
    masks: list[dict]
    scores: list[float]
    truth: list[dict]
    ignored: list[dict]

    @property
    def is_known(self) -> bool:
        """Whether there is a truth for the union, which only ignored regions don't make."""
        return bool(self.truth) or not self.ignored


def pixel_counts(result: PhraseResult) -> tuple[int, int, int]:
    """Pixels of the intersection, of the predicted union mask and of the true one; ignored pixels count nowhere."""
    union = [result.union]
    overlap, predicted, true = _area(union, result.truth), _area(union), _area(result.truth)
    if result.ignored:
        both = coco_mask.merge(result.ignored)
        hidden = coco_mask.merge([result.union, both], intersect=True)
        predicted += _area([hidden], result.truth) - _area([hidden])
    return overlap, predicted, true


def dice(overlap: int, predicted: int, true: int) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    return 2 * overlap / (predicted + true) if predicted + true else 1.0


def iou(overlap: int, predicted: int, true: int) -> float:
    """|A and B| / |A or B|; 0 where both are empty, as PhraseCut's evaluator has it."""
    union = predicted + true - overlap
    return overlap / union if union else 0.0


def matched_dice(masks: Sequence[dict], truth: Sequence[dict]) -> float:
    """Dice summed over the pairs of the best one-to-one assignment of predicted and true instances, over the number of true ones.

    NaN without true instances. An unmatched true instance counts 0, an unmatched prediction nothing. P * T intersections.
    """
    if not len(truth):
        return float('nan')
    if not len(masks):
        return 0.0
    ious = np.asarray(coco_mask.iou(list(masks), list(truth), [0] * len(truth)))
    dices = 2 * ious / (1 + ious)
    return float(dices[linear_sum_assignment(dices, maximize=True)].sum() / len(truth))


def instance_ap(results: Sequence[PhraseResult]) -> tuple[float, float]:
    """COCO's mask AP (IoU 0.50:0.05:0.95) and AP50, every result being an image of its own and every instance of one class.

    All predictions count, not the best 100 of an image: phrases can mean hundreds. NaN where there is no true instance at all.
    """
    images = [dict(zip(('height', 'width'), one.union['size'], strict=True), id=i) for i, one in enumerate(results, 1)]
    found = [(i, mask, {'score': score}) for i, one in enumerate(results, 1) for mask, score in zip(one.masks, one.scores, strict=True)]
    known = [(i, mask, {'iscrowd': 0}) for i, one in enumerate(results, 1) for mask in one.truth]
    known += [(i, mask, {'iscrowd': 1}) for i, one in enumerate(results, 1) for mask in one.ignored]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_index(images, known), _index(images, found), 'segm')
        evaluation.params.maxDets = [max([1, *(len(one.masks) for one in results)])]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ['all']
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision'][:, :, 0, 0, 0]  # (IoUs from 0.5, recalls), -1 where there is no truth
    return (float(precision.mean()), float(precision[0].mean())) if (precision > -1).all() else (float('nan'), float('nan'))


def _index(images: list[dict], rows: Iterable[tuple[int, dict, dict]]) -> COCO:
    """COCO's index of rows (image, RLE, further fields)."""
    coco = COCO()
    annotations = [
        {'id': number, 'image_id': image, 'category_id': 1, 'segmentation': mask, 'area': int(coco_mask.area(mask)), **more}
        for number, (image, mask, more) in enumerate(rows, 1)
    ]
    coco.dataset = {'images': images, 'annotations': annotations, 'categories': [{'id': 1, 'name': 'object'}]}
    coco.createIndex()
    return coco


def _area(*unions: Sequence[dict]) -> int:
    """Pixels in the intersection of unions of masks."""
    if not all(len(one) for one in unions):
        return 0
    return int(coco_mask.area(coco_mask.merge([coco_mask.merge(list(one)) for one in unions], intersect=True)))
