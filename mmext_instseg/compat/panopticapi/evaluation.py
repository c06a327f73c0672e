"""Panoptic quality (Kirillov et al., arXiv 1801.00868, section 4) by panopticapi's rules, where they say more than the paper.

mmdet counts through its own `pq_compute_single_core` and takes `OFFSET`, `VOID` and `PQStat` from here; the one below is for
callers of panopticapi, and a second reckoning for mmdet's.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
from PIL import Image

from .utils import rgb2id

OFFSET = 256**3
VOID = 0


class PQStatCat:
    """Counts of one category: sum of the matched IoUs, true positives, false positives, false negatives."""

    def __init__(self) -> None:
        self.iou = 0.0
        self.tp = 0
        self.fp = 0
        self.fn = 0

    def __iadd__(self, other: 'PQStatCat') -> 'PQStatCat':
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        return self


class PQStat:
    """Counts of all categories."""

    def __init__(self) -> None:
        self.pq_per_cat: defaultdict[int, PQStatCat] = defaultdict(PQStatCat)

    def __getitem__(self, category: int) -> PQStatCat:
        return self.pq_per_cat[category]

    def __iadd__(self, other: 'PQStat') -> 'PQStat':
        for category, counts in other.pq_per_cat.items():
            self.pq_per_cat[category] += counts
        return self

    def pq_average(self, categories: dict[int, dict], isthing: bool | None) -> tuple[dict, dict]:
        """PQ, SQ and RQ averaged over the categories that occur at all, and per category.

        Args:
            categories: id -> category with `isthing`.
            isthing: only things (True), only stuff (False), or all (None).

        Returns:
            {'pq', 'sq', 'rq' in [0, 1], 'n': categories counted}, and category id -> {'pq', 'sq', 'rq'}.
        """
        results, counted = {}, []
        for category, info in categories.items():
            if isthing is not None and bool(info['isthing'] == 1) != isthing:
                continue
            results[category] = self._quality(self.pq_per_cat[category])
            counts = self.pq_per_cat[category]
            if counts.tp + counts.fp + counts.fn > 0:
                counted.append(results[category])
        number = len(counted)
        average = {key: sum(one[key] for one in counted) / max(number, 1) for key in ('pq', 'sq', 'rq')}
        return {**average, 'n': number}, results

    @staticmethod
    def _quality(counts: PQStatCat) -> dict[str, float]:
        size = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
        return {
            'pq': counts.iou / size if size else 0.0,
            'sq': counts.iou / counts.tp if counts.tp else 0.0,
            'rq': counts.tp / size if size else 0.0,
        }


def pq_compute_single_core(
    proc_id: int, annotation_set: Iterable[tuple[dict, dict]], gt_folder: str, pred_folder: str, categories: dict[int, dict]
) -> PQStat:
    """Counts of pairs of (annotation, prediction), both in COCO's panoptic format: JSON entries, and PNGs in the two folders.

    Areas of predictions are counted in the PNG, those of annotations taken from the JSON.

    Args:
        proc_id: for panopticapi's signature only.
        categories: id -> category; all that a prediction may use.

    Raises:
        KeyError: a predicted segment is in the PNG or in the JSON only, or of an unknown category.
        ValueError: a segment's id is 0, which is void; or the two images differ in size.
    """
    stat = PQStat()
    for truth, prediction in annotation_set:
        count_pair(stat, (truth, _read_ids(gt_folder, truth)), (prediction, _read_ids(pred_folder, prediction)), categories)
    return stat


def count_pair(stat: PQStat, truth: tuple[dict, np.ndarray], prediction: tuple[dict, np.ndarray], categories: dict[int, dict]) -> None:
    """Adds the counts of one image, given as JSON entry and id map (H, W) int64 of either side; arguments and errors as above."""
    (true, true_ids), (predicted, predicted_ids) = truth, prediction
    if true_ids.shape != predicted_ids.shape:
        raise ValueError(f'image {true["image_id"]}: the annotation is {true_ids.shape}, the prediction {predicted_ids.shape} (H, W)')
    pairs, pixels = np.unique(true_ids * OFFSET + predicted_ids, return_counts=True)
    overlaps = {divmod(pair, OFFSET): count for pair, count in zip(pairs.tolist(), pixels.tolist(), strict=True)}
    _count_image(stat, true, predicted, overlaps, categories)


def _read_ids(folder: str, annotation: dict) -> np.ndarray:
    """(H, W) int64."""
    with Image.open(os.path.join(folder, annotation['file_name'])) as image:
        return np.asarray(rgb2id(np.array(image.convert('RGB'))), dtype=np.int64)


def _count_image(stat: PQStat, truth: dict, prediction: dict, overlaps: dict[tuple[int, int], int], categories: dict[int, dict]) -> None:
    """Adds the counts of one image; overlaps: (true id, predicted id) -> pixels."""
    truths = {segment['id']: segment for segment in truth['segments_info']}
    predictions = {segment['id']: segment for segment in prediction['segments_info']}
    areas: Counter[int] = Counter()
    for (_, predicted), pixels in overlaps.items():
        areas[predicted] += pixels
    _check(truth['image_id'], truths, predictions, areas, categories)

    matched_truths, matched_predictions = set(), set()
    for (true, predicted), pixels in overlaps.items():
        if true not in truths or predicted not in predictions or truths[true]['iscrowd'] == 1:
            continue
        category = truths[true]['category_id']
        if category != predictions[predicted]['category_id']:
            continue
        union = areas[predicted] + truths[true]['area'] - pixels - overlaps.get((VOID, predicted), 0)
        if pixels / union > 0.5:
            stat[category].tp += 1
            stat[category].iou += pixels / union
            matched_truths.add(true)
            matched_predictions.add(predicted)

    crowds = {}  # one a category: a later one takes the place of an earlier
    for true, segment in truths.items():
        if true in matched_truths:
            continue
        if segment['iscrowd'] == 1:
            crowds[segment['category_id']] = true
        else:
            stat[segment['category_id']].fn += 1

    for predicted, segment in predictions.items():
        category = segment['category_id']
        excused = overlaps.get((VOID, predicted), 0)
        if category in crowds:
            excused += overlaps.get((crowds[category], predicted), 0)
        if predicted not in matched_predictions and excused / areas[predicted] <= 0.5:
            stat[category].fp += 1


def _check(image: int, truths: dict[int, dict], predictions: dict[int, dict], areas: Counter[int], categories: dict[int, dict]) -> None:
    for side, segments in (('annotation', truths), ('prediction', predictions)):
        if VOID in segments:
            raise ValueError(f'image {image}: the {side} has a segment with id {VOID}, which means void; number segments from 1')
    if png_only := areas.keys() - predictions.keys() - {VOID}:
        raise KeyError(f'image {image}: predicted segments {sorted(png_only)} are in the PNG, not in the JSON')
    if json_only := predictions.keys() - areas.keys():
        raise KeyError(f'image {image}: predicted segments {sorted(json_only)} are in the JSON, not in the PNG')
    for number, segment in predictions.items():
        if segment['category_id'] not in categories:
            raise KeyError(f'image {image}: predicted segment {number} has the unknown category_id {segment["category_id"]}')
