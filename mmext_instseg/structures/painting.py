"""Flattening overlapping masks mask by mask: the worker's way, whose memory doesn't grow with the number of instances."""

from collections.abc import Callable, Iterable

import numpy as np

from .coco_masks import run_pixels

IGNORE = -1


def paint_runs(
    things: list[np.ndarray], regions: list[np.ndarray], height: int, width: int, overlap: str = 'top'
) -> tuple[np.ndarray, np.ndarray]:
    """Paints instances given as runs (`segmentation_runs`).

    Args:
        things: K instances.
        regions: ignored regions.

    Returns:
        ids (H, W) int32 as `paint_ids` gives them, and the full areas (K,) int64.
    """
    areas = np.array([one[1::2].sum() for one in things], dtype=np.int64)
    ids = paint_ids(areas, lambda index: run_pixels(things[index]), height * width, map(run_pixels, regions), overlap)
    return np.ascontiguousarray(ids.reshape(width, height).T), areas


def paint_ids(
    areas: np.ndarray, pixels_of: Callable[[int], np.ndarray], num_pixels: int, ignored: Iterable[np.ndarray] = (), overlap: str = 'top'
) -> np.ndarray:
    """Paints instances by the rules of `InstanceMap.from_masks`, from the largest to the smallest.

    Args:
        areas: (K,) full areas.
        pixels_of: from 0..K-1 to that instance's flat pixel indices, each at most once.
        num_pixels: H * W.
        ignored: flat indices of regions without annotation; instances lie above them.
        overlap: 'top': of several masks the one with the smaller full area is on top, then the lower id; 'ignore': a pixel of
            several masks is ignored.

    Returns:
        (H * W,) int32 ids: -1 ignored, 0 none, 1..K.
    """
    if overlap not in ('top', 'ignore'):
        raise ValueError(f"overlap must be 'top' or 'ignore', not {overlap!r}")
    ids = np.zeros(num_pixels, dtype=np.int32)
    for region in ignored:
        ids[region] = IGNORE
    shared = np.zeros(num_pixels, dtype=bool)
    # A stable sort of the reversed areas, read backwards: the larger first, of equal ones the higher id first.
    for index in np.argsort(areas, kind='stable')[::-1].tolist():
        pixels = pixels_of(index)
        if overlap == 'ignore':
            shared[pixels] |= ids[pixels] > 0
        ids[pixels] = index + 1
    ids[shared] = IGNORE
    return ids
