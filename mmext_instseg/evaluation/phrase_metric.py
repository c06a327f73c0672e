"""Segmentation and instances by phrase."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from mmdet.structures.mask import encode_mask_results
from mmengine.evaluator import BaseMetric
from pycocotools import mask as coco_mask

from ..registry import METRICS
from ..structures.coco_masks import segmentation_runs
from .phrase_scores import PhraseResult, dice, instance_ap, iou, matched_dice, pixel_counts

THRESHOLDS = (0.5, 0.7, 0.9)


@METRICS.register_module()
class PhraseMetric(BaseMetric):
    """How well masks and instances answer to phrases (instance_clipseg; PhraseCut).

    A phrase counts once for each image in which it is asked. Of its union mask, that of all that it means:

    - `phrase/mDice`: mean Dice (the paper's measure; it doesn't define it). A negative phrase, one that means nothing, has Dice 1 where
      nothing is predicted and 0 else. `mDice_positive`: without negative phrases.
    - `phrase/mIoU`, `phrase/cIoU`, `phrase/Pr@0.5`, `Pr@0.7`, `Pr@0.9`: mean IoU, summed intersections over summed unions, and the share of
      phrases with an IoU above the threshold, by PhraseCut's evaluator. PhraseCut has no negative phrases: a negative one has IoU 0 here
      whatever is predicted, as that evaluator has it for two empty masks. `mIoU_positive`: without negative phrases.
    - `phrase/empty_negatives`: share of the negative phrases for which the mask is empty.

    Of its instances:

    - `phrase/matched_Dice`: Dice of predicted and true instances in the best one-to-one assignment, summed and divided by the number of
      true ones; mean over the phrases that mean something. False instances cost nothing, and negative phrases don't count.
    - `phrase/AP`, `phrase/AP50`: COCO's mask AP with each (image, phrase) as an image, without classes. Negative phrases count by their
      false instances.

    `phrase/phrases` and `phrase/negatives` are the numbers of phrases. All others are in [0, 1], NaN where there is nothing to divide by.

    Reads of a sample `text`, `instances` (bbox_label, mask, ignore_flag) and `ori_shape`, which `PackDenseInputs` packs if they are among
    its `meta_keys`; `pred_instances` (masks as a tensor (n, H, W) or RLEs; scores; labels, the indices of phrases); `pred_phrase_masks`
    (its data (P, H, W) bool), without which a phrase's mask is the union of its instances. Ignored regions count nowhere, except under
    true instances; a phrase with nothing else counts in AP only. Masks are kept as compressed RLE, some bytes a column.

    Args:
        **kwargs: as mmengine's `BaseMetric`.

    Raises:
        ValueError: from `process`, naming the image: something of the above missing, or of another size or number.
    """

    default_prefix = 'phrase'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps the `PhraseResult`s of each image."""
        self.results += [phrase_results(sample) for sample in data_samples]

    def compute_metrics(self, results: list[list[PhraseResult]]) -> dict[str, float]:
        """See the class."""
        phrases = [one for image in results for one in image]
        known = [one for one in phrases if one.is_known]
        counts = np.array([pixel_counts(one) for one in known], dtype=np.int64).reshape(-1, 3)
        dices, ious = (np.array([score(*row) for row in counts.tolist()]) for score in (dice, iou))
        positive = np.array([bool(one.truth) for one in known], dtype=bool)
        overlap, predicted, true = counts.sum(axis=0).tolist()
        ap, ap50 = instance_ap(phrases)
        return {
            'mDice': _mean(dices),
            'mDice_positive': _mean(dices[positive]),
            'mIoU': _mean(ious),
            'mIoU_positive': _mean(ious[positive]),
            'cIoU': iou(overlap, predicted, true) if len(known) else float('nan'),
            **{f'Pr@{threshold}': _mean(ious > threshold) for threshold in THRESHOLDS},
            'empty_negatives': _mean(counts[~positive, 1] == 0),
            'matched_Dice': _mean(np.array([matched_dice(one.masks, one.truth) for one in phrases if one.truth])),
            'AP': ap,
            'AP50': ap50,
            'phrases': len(phrases),
            'negatives': int((~positive).sum()),
        }


def phrase_results(sample: dict) -> list[PhraseResult]:
    """The truth and the prediction of each phrase of an image; sample and errors as `PhraseMetric`."""
    name = f'image {sample.get("img_id")!r} ({sample.get("img_path")})'
    if missing := [key for key in ('text', 'instances', 'ori_shape') if key not in sample]:
        raise ValueError(f'{name}: no {missing[0]!r}; PhraseMetric needs text, instances and ori_shape among meta_keys of PackDenseInputs')
    if 'masks' not in sample.get('pred_instances', ()):
        raise ValueError(f'{name}: pred_instances has no masks, which PhraseMetric compares')
    num = 1 if isinstance(sample['text'], str) else len(sample['text'])
    shape, found, instances = tuple(sample['ori_shape'][:2]), sample['pred_instances'], sample['instances']
    masks = _to_rles(found['masks'], shape, f'{name}: pred_instances')
    predicted = _by_phrase(zip(masks, found['scores'].tolist(), strict=True), found['labels'].tolist(), num, f'{name}: pred_instances')
    truths = [_true_rle(one.get('mask', ()), shape, f'{name}: instance {i}') for i, one in enumerate(instances)]
    flagged = zip(truths, (bool(one.get('ignore_flag', 0)) for one in instances), strict=True)
    true = _by_phrase(flagged, [one['bbox_label'] for one in instances], num, f'{name}: instances')
    if 'pred_phrase_masks' in sample:
        unions = _to_rles(sample['pred_phrase_masks']['data'], shape, f'{name}: pred_phrase_masks')
    else:
        unions = [
            coco_mask.merge([mask for mask, _ in rows]) if rows else _to_rles(torch.zeros(1, *shape), shape, '')[0] for rows in predicted
        ]
    if len(unions) != num:
        raise ValueError(f'{name}: {len(unions)} masks in pred_phrase_masks for {num} phrases in text; give one to each, in their order')
    return [
        PhraseResult(
            union,
            [mask for mask, _ in rows],
            [score for _, score in rows],
            [mask for mask, ignored in pairs if not ignored],
            [mask for mask, ignored in pairs if ignored],
        )
        for union, rows, pairs in zip(unions, predicted, true, strict=True)
    ]


def _to_rles(masks: torch.Tensor | np.ndarray | Sequence[dict], shape: tuple[int, int], name: str) -> list[dict]:
    """Compressed RLEs of masks (n, H, W) or of RLEs; raises ValueError for another (H, W) than `shape`."""
    if isinstance(masks, torch.Tensor):
        masks = masks.cpu().numpy()
    sizes = {tuple(masks.shape[1:])} if isinstance(masks, np.ndarray) else {tuple(one['size']) for one in masks}
    if wrong := sizes - {shape}:
        raise ValueError(f'{name}: masks of {min(wrong)} (height, width) for an image of {shape}; predict with rescale=True')
    return encode_mask_results(masks) if isinstance(masks, np.ndarray) else list(masks)


def _true_rle(mask: list | dict, shape: tuple[int, int], name: str) -> dict:
    runs = segmentation_runs(mask, *shape, name)
    return coco_mask.frPyObjects({'size': list(shape), 'counts': runs.tolist()}, *shape)


def _by_phrase(rows: Iterable[tuple], labels: Sequence[int], num: int, name: str) -> list[list[tuple]]:
    """Rows sorted into the phrases that their labels are indices of."""
    if wrong := [label for label in labels if not 0 <= label < num]:
        raise ValueError(f'{name}: label {wrong[0]} for {num} phrases; a label is the index of a phrase in text')
    groups: list[list[tuple]] = [[] for _ in range(num)]
    for label, row in zip(labels, rows, strict=True):
        groups[label].append(row)
    return groups


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float('nan')
