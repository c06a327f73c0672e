"""What a BottomUpSegmentor does around its codec: foreground, labels and scores of the groups, stuff, the size of the image.

Shapes: (H, W) image, (h, w) the codec's maps, K instances, C thing classes.
"""

from collections.abc import Callable

import numpy as np
from _common import Export, result_of
from _maps import bilinear, enlarge_ids, masks_of, rank, select, without_padding

OFFSET = 1000  # of the instance number in `panoptic`, as mmdet's

#: Called with the maps by name (C, h, w), the foreground (h, w) bool, (height, width) of the image without padding in pixels of the
#: maps, and the codec's settings; returns ids (h, w) int32, 1..K, and scores (K,).
Decode = Callable[[dict[str, np.ndarray], np.ndarray, tuple[float, float], dict], tuple[np.ndarray, np.ndarray]]


def segment_by(decode: Decode, codec_map: str, export: Export, image: np.ndarray) -> dict[str, np.ndarray]:
    """Instances of an image, by the decoder of one codec.

    Args:
        codec_map: name of a map that the codec reads.
        image: (H, W, 3) uint8 BGR.

    Returns:
        see `_common.result_of`; with `panoptic` (H, W), `semantic` (H, W) and `depth` (H, W) where the config asks for them or has them.
    """
    settings, heads = export.settings['test_cfg'], export.settings['heads']
    inputs, shown = export.prepare(image)
    maps = {name: value[0] for name, value in export.run('network', inputs).items()}
    full, size, shape = inputs.shape[-2:], maps[codec_map].shape[-2:], image.shape[:2]
    part = (shown[0] / full[0], shown[1] / full[1])
    things, threshold = np.ones((1, *size), np.float32), settings['foreground_threshold']
    if 'class_prob' in maps:
        things = maps['class_prob'][: heads['semantic']['num_things_classes']]

    foreground = np.ones(size, bool) if threshold is None else bilinear(things.sum(axis=0), size) > threshold
    extent = (size[0] * part[0], size[1] * part[1])
    ids, scores = decode(maps, without_padding(foreground, extent), extent, export.settings['codec'])

    labels, share = classify(ids, len(scores), things, settings['label_by'], full)
    scores = (scores * share).astype(np.float32)
    keep = (scores >= settings['score_threshold']) & (rank(scores) < settings['max_per_image'])
    ids, labels, scores = select(ids, keep), labels[keep], scores[keep]

    ids = enlarge_ids(ids, shape, part, None if threshold is None else bilinear(things.sum(axis=0), shape, part) > threshold)
    keep = np.bincount(ids.ravel(), minlength=len(scores) + 1)[1:] > 0
    ids, labels, scores = select(ids, keep), labels[keep], scores[keep]
    more = {}
    if settings['panoptic']:
        sampled = bilinear(maps['class_prob'], shape, part)
        stuff = stuff_of(sampled, ids, len(things), len(things) + heads['semantic']['num_stuff_classes'], settings)
        more['panoptic'] = np.where(ids > 0, np.append(0, labels)[ids] + ids * OFFSET, stuff)
    if settings['semantic']:
        more['semantic'] = bilinear(maps['class_prob'], shape, part).argmax(axis=0)
    if 'depth' in maps:
        more['depth'] = bilinear(maps['depth'], shape, part)[0]
    return result_of(masks_of(ids, len(scores)), labels, scores, **more)


def classify(ids: np.ndarray, num: int, things: np.ndarray, label_by: str, full: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (K,) and their probabilities (K,).

    Args:
        things: (C, a, b) probabilities of the classes over the same area as the ids.
        label_by: 'vote': the highest mean over an instance's pixels; 'centre': the class of the block with its centre of mass.
        full: size of the network's input, in whose pixels centres are.
    """
    y, x = np.nonzero(ids)
    owner = ids[y, x] - 1
    area = np.bincount(owner, minlength=num).clip(min=1)
    if label_by == 'centre':
        place = []
        for index, axis in ((y, 0), (x, 1)):
            centre = (np.bincount(owner, index, num) / area + 0.5) * (full[axis] / ids.shape[axis]) - 0.5
            blocks = things.shape[axis + 1]
            place.append((centre * (blocks / full[axis])).astype(int).clip(0, blocks - 1))
        mean = things[:, place[0], place[1]]
    else:
        down, across = (small / size for small, size in zip(things.shape[1:], ids.shape, strict=True))
        values = things[:, ((y + 0.5) * down).astype(int), ((x + 0.5) * across).astype(int)]
        mean = np.stack([np.bincount(owner, one, num) for one in values]) / area
    return mean.argmax(axis=0), mean.max(axis=0)


def stuff_of(probability: np.ndarray, ids: np.ndarray, num_things: int, num_classes: int, settings: dict) -> np.ndarray:
    """(H, W) the stuff class of each pixel; `num_classes`, void, where the background leads or a thing is likely but no instance is.

    Args:
        probability: (C', H, W): things, stuff, and a background channel if the head has one.
    """
    things, rest = probability[:num_things], probability[num_things:]
    rest = np.concatenate([rest, np.zeros_like(things[:1])])
    stuff = np.minimum(rest.argmax(axis=0) + num_things, num_classes)
    if settings['foreground_threshold'] is None:
        likely = things.max(axis=0) > rest.max(axis=0)
    else:
        likely = things.sum(axis=0) > settings['foreground_threshold']
    stuff[likely] = num_classes
    areas = np.bincount(np.where(ids > 0, num_classes, stuff).ravel(), minlength=num_classes + 1)
    stuff[areas[stuff] < settings['min_stuff_area']] = num_classes
    return stuff
