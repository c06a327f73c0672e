"""InstanceCLIPSeg by onnxruntime and NumPy: a mask for each phrase, and in it every pixel's distances to the sides of its object's box.

The image is encoded once, then decoded with the embedding of each phrase.

Shapes: (H, W) image, (h, w) size of the maps, M pixels of a mask, N peaks or clusters, P phrases.
"""

from collections.abc import Callable

import numpy as np
from _common import Export, main, result_of
from _maps import bilinear, enlarge_ids, find_peaks, masks_of, matrix_nms, paint, rank, select, without_padding

BLOCK = 2**14  # pixels that are compared with all peaks at a time
STEPS = 8  # of a pixel, to which boxes are rounded


def segment(export: Export, image: np.ndarray, phrases: list[str]) -> dict[str, np.ndarray]:
    """Instances of an image (H, W, 3) uint8 BGR, labels being indices of the phrases; `unions` (P, H, W) bool, each phrase's mask.

    Raises:
        ValueError: no phrase, or one without an exported embedding.
    """
    if not phrases:
        raise ValueError(f'{export.folder} has no embeddings of phrases: export with --text PHRASE ...')
    if unknown := [phrase for phrase in phrases if phrase not in export.phrases]:
        raise ValueError(f'there is no embedding of {unknown[0]!r}: export with --text {unknown[0]!r}; known are {sorted(export.phrases)}')
    inputs, shown = export.prepare(image)
    part = (shown[0] / inputs.shape[2], shown[1] / inputs.shape[3])
    taps = export.run('image_encoder', inputs).values()
    unions, masks, labels, scores = [], [], [], []
    for label, phrase in enumerate(phrases):
        maps = {name: value[0] for name, value in export.run('decoder', *taps, export.phrases[phrase][None]).items()}
        union, ids, score = segment_phrase(maps, part, image.shape[:2], export.settings)
        unions.append(union)
        masks.append(masks_of(ids, len(score)))
        labels.append(np.full(len(score), label))
        scores.append(score)
    order = np.argsort(-np.concatenate(scores), kind='stable')
    joined = [np.concatenate(one)[order] for one in (masks, labels, scores)]
    return result_of(*joined, unions=np.stack(unions), phrases=np.array(phrases))


def segment_phrase(
    maps: dict[str, np.ndarray], part: tuple[float, float], shape: tuple[int, int], settings: dict
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A phrase's mask (H, W) bool, ids (H, W) int32 and scores (K,), as `InstanceCLIPSeg.instances_from_maps`.

    Args:
        part: how much of the maps' height and width shows the image.
        shape: (H, W).
    """
    test, probability = settings['test_cfg'], maps['mask_prob'][0]
    extent = (probability.shape[0] * part[0], probability.shape[1] * part[1])
    foreground = without_padding(probability > test['mask_threshold'], extent)
    ids, scores = decode(maps, foreground, extent, settings['codec'])

    y, x = np.nonzero(ids)
    areas = np.bincount(ids[y, x] - 1, minlength=len(scores)).clip(min=1)
    scores = (scores * np.bincount(ids[y, x] - 1, probability[y, x], len(scores)) / areas).astype(np.float32)
    union = bilinear(probability, shape, part) > test['mask_threshold']
    ids = enlarge_ids(ids, shape, part, union)
    seen = np.bincount(ids.ravel(), minlength=len(scores) + 1)[1:] > 0
    keep = seen & (scores >= test['score_threshold'])
    ids, scores = select(ids, keep), scores[keep]
    keep = rank(scores) < test['max_per_phrase']
    return union, select(ids, keep), scores[keep]


def decode(maps: dict[str, np.ndarray], foreground: np.ndarray, extent: tuple[float, float], codec: dict) -> tuple[np.ndarray, np.ndarray]:
    """`BoxDistanceCodec.decode` of one image: ids (h, w) int32 and scores (K,).

    Args:
        maps: (C, h, w) by name.
        foreground: (h, w) bool.
        extent: height and width of the image without padding, in pixels of the maps.
        codec: its settings.
    """
    # Boxes that pixels predict; at least half a pixel to each side, at most the image
    y, x = np.nonzero(foreground)
    sides = np.float32([extent[1], extent[0]] * 2)[:, None]  # left, top, right, bottom
    away = np.clip(np.nan_to_num(maps['distance'][:, y, x] * sides, nan=0.5, posinf=np.inf), 0.5, sides)
    middle = np.float32([x, y]) + np.float32(0.5)
    boxes = np.rint(np.concatenate([middle - away[:2], middle + away[2:]]) * STEPS) / STEPS
    if codec['grouping'] == 'boxes':
        owner, scores = join_boxes(boxes, foreground, extent, codec)
    else:
        owner, scores = join_centres(maps['heatmap'][0], boxes, extent, codec)
    keep = np.bincount(owner, minlength=len(scores) + 1)[1:] >= codec['min_area']
    return paint(owner, keep, y, x, foreground.shape), scores[keep]


def join_centres(heat: np.ndarray, boxes: np.ndarray, extent: tuple[float, float], codec: dict) -> tuple[np.ndarray, np.ndarray]:
    """The peak (M,) 1..N nearest to the centre of each pixel's box (4, M), the higher one on a tie, 0 without any; the peaks' scores."""
    peaks = find_peaks(heat * without_padding(np.ones(heat.shape, bool), extent), codec['peak_radius'], codec['peak_threshold'])
    values = heat[tuple(peaks.T)]
    order = np.argsort(-values, kind='stable')[: codec['max_instances']]
    places = peaks[order, ::-1] + np.float32(0.5)
    centres = (boxes[:2] + boxes[2:]) / 2
    owner = highest(boxes.shape[1], len(places), lambda part: -sum((places[:, [k]] - centres[k, part]) ** 2 for k in (0, 1)))[0]
    return owner, values[order].clip(max=1)


def join_boxes(boxes: np.ndarray, foreground: np.ndarray, extent: tuple[float, float], codec: dict) -> tuple[np.ndarray, np.ndarray]:
    """As `join_centres` without a heatmap: boxes (4, M) that agree are clusters; a pixel joins that of the highest IoU with its box."""
    # Bins of centre and size, as fine as the boxes are small: three sizes an octave, centres in eighths of the size
    side, key = max(extent), np.zeros(boxes.shape[1], int)
    for low, high in (boxes[::2], boxes[1::2]):
        size = np.floor(3 * np.log2(high - low))
        centre = ((low + high) / 2 + np.float32(side)) * 8 / np.exp2(size / 3)
        key = (key * 3 * (int(side).bit_length() + 2) + size.astype(int)) * 32 * (int(side) + 1) + centre.astype(int)
    _, index, votes = np.unique(key, return_inverse=True, return_counts=True)
    means = (np.stack([np.bincount(index, one) for one in boxes]) / votes).astype(np.float32)

    # The mean boxes with most votes, those thinned out that overlap better ones
    best = np.argsort(-votes, kind='stable')[: codec['max_candidates']]
    best = best[votes[best] >= codec['min_votes']]
    factor = matrix_nms(box_iou(means[:, best, None], means[:, None, best]), votes[best])
    kept = means[:, best[factor >= codec['nms_threshold']][: codec['max_instances']]]
    owner, iou = highest(boxes.shape[1], kept.shape[1], lambda part: box_iou(kept[:, :, None], boxes[:, None, part]))
    owner[iou <= 0] = 0

    # Score: the IoUs' sum over the foreground pixels in the box
    total = np.pad(foreground.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    most = np.array(foreground.shape[::-1] * 2)[:, None]
    x1, y1, x2, y2 = np.ceil(kept - 0.5).astype(int).clip(0, most)
    inside = total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1]
    agreed = np.bincount(owner, iou.clip(min=0), kept.shape[1] + 1)[1:]
    return owner, (agreed / inside.clip(min=1)).clip(max=1)


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of boxes (4, ...) x1, y1, x2, y2, as they broadcast."""
    shared = np.prod((np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])).clip(min=0), axis=0)
    return shared / (sum(np.prod(box[2:] - box[:2], axis=0) for box in (first, second)) - shared)


def highest(pixels: int, rows: int, affinity: Callable[[slice], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel the row 1..N of the highest affinity, the first on a tie, 0 without any; and that affinity.

    Args:
        affinity: of a range of n pixels, (N, n).
    """
    owner, most = np.zeros(pixels, int), np.full(pixels, -np.inf)
    for start in range(0, pixels if rows else 0, BLOCK):
        part = slice(start, start + BLOCK)
        terms = affinity(part)
        owner[part], most[part] = terms.argmax(axis=0) + 1, terms.max(axis=0)
    return owner, most


if __name__ == '__main__':
    main('instance_clipseg.py', __doc__, segment, phrases=True)
