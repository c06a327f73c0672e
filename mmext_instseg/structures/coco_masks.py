"""COCO segmentations (polygons, RLE, compressed RLE) to bitmaps, checked before any native code sees them.

pycocotools 2.0.11 segfaults on NaN, allocates gigabytes for far-off coordinates, takes a polygon of four numbers for a box, and
returns uninitialised memory where the runs of an RLE are too short. The formats are those of cocoapi's common/maskApi.c.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

# Our choices: pycocotools walks an outline in steps of 0.2 px, so these bound its time and memory (about 200 MB).
MAX_COORDINATE = 100_000
MAX_OUTLINE = 2_000_000


def decode_segmentation(segmentation: Any, height: int, width: int, name: str = 'segmentation') -> np.ndarray:
    """Makes a bitmap of a COCO segmentation.

    Args:
        segmentation: polygons [[x1, y1, x2, y2, ...], ...] in pixels (their union is the object; parts outside the frame are cut
            off, and a polygon without area sets no pixel), or {'size': [H, W], 'counts': runs as a list, string or bytes}.
        height, width: size of the image.
        name: what to call the segmentation in errors.

    Returns:
        (H, W) bool, C-contiguous.

    Raises:
        ValueError: as `parse_segmentation`.
    """
    runs = segmentation_runs(segmentation, height, width, name)
    mask = np.zeros(height * width, dtype=bool)
    mask[run_pixels(runs)] = True
    return np.ascontiguousarray(mask.reshape(width, height).T)


def segmentation_runs(segmentation: Any, height: int, width: int, name: str = 'segmentation') -> np.ndarray:
    """The runs of a COCO segmentation, its form of least memory; arguments and errors as `decode_segmentation`.

    Returns:
        (R,) int64: numbers of pixels outside, inside, outside, ... down the columns, which add up to H * W.
    """
    parsed = parse_segmentation(segmentation, height, width, name)
    if isinstance(parsed, np.ndarray):
        return parsed
    rles = coco_mask.frPyObjects([polygon.tolist() for polygon in parsed], height, width)
    return _decode_counts(coco_mask.merge(rles)['counts'], name)


def run_pixels(runs: np.ndarray) -> np.ndarray:
    """(N,) int64: the pixels inside, as indices x * H + y."""
    starts, lengths = runs.cumsum()[:-1:2], runs[1::2]
    return np.arange(lengths.sum()) + np.repeat(starts - (lengths.cumsum() - lengths), lengths)


def parse_segmentation(segmentation: Any, height: int, width: int, name: str = 'segmentation') -> list[np.ndarray] | np.ndarray:
    """Checks a COCO segmentation without drawing it; arguments as `decode_segmentation`.

    Returns:
        Polygons as a list of (2 N,) float64 with N >= 3, or the runs of an RLE as `segmentation_runs`.

    Raises:
        ValueError: anything that isn't one of the three formats; coordinates that are not finite or beyond `MAX_COORDINATE`; an
            outline longer than `MAX_OUTLINE`; fewer than three points; runs that don't fill the image; the RLE of another size.
    """
    if height < 1 or width < 1:
        raise ValueError(f'{name}: the image has {height} x {width} pixels; give the height and width that it has')
    if isinstance(segmentation, dict):
        return _parse_rle(segmentation, height, width, name)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str | bytes):
        raise ValueError(
            f'{name}: a segmentation is a list of polygons or an RLE dict, not {type(segmentation).__name__}; '
            'remove the annotation or give it a mask'
        )
    if len(segmentation) == 0:
        raise ValueError(f'{name}: no polygon, so there is no mask (only a box?); remove the annotation or give it a mask')
    if not isinstance(segmentation[0], Sequence | np.ndarray):
        raise ValueError(f'{name}: a segmentation is a list of polygons, each a list of numbers; write [[x1, y1, ...]] with two brackets')
    return [_parse_polygon(polygon, name) for polygon in segmentation]


def _parse_polygon(polygon: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    points = _numbers(polygon, 'iuf', f'{name}: a polygon is a flat list of numbers [x1, y1, x2, y2, ...]').astype(np.float64)
    if len(points) == 4:
        raise ValueError(
            f'{name}: a polygon of 4 numbers has two points only (pycocotools would read a box); write a box as four corners, '
            '[x1, y1, x2, y1, x2, y2, x1, y2]'
        )
    if len(points) % 2:
        raise ValueError(f'{name}: a polygon of {len(points)} numbers, an odd count, has an x without y; give pairs x, y')
    if len(points) < 6:
        raise ValueError(f'{name}: a polygon of {len(points) // 2} points; at least 3 are needed, so remove it')
    far = ~(np.abs(points) <= MAX_COORDINATE)  # True for NaN as well
    if far.any():
        raise ValueError(
            f'{name}: coordinate {points[far][0]} is not a number of pixels within {MAX_COORDINATE:,}; correct or remove the polygon'
        )
    corners = points.reshape(-1, 2)
    outline = np.abs(np.roll(corners, -1, axis=0) - corners).max(axis=1).sum()
    if outline > MAX_OUTLINE:
        raise ValueError(f'{name}: an outline of {outline:,.0f} px is over the limit of {MAX_OUTLINE:,}; simplify it or write an RLE')
    return points


def _parse_rle(rle: dict, height: int, width: int, name: str) -> np.ndarray:
    if 'size' not in rle or 'counts' not in rle:
        raise ValueError(f"{name}: an RLE needs 'size' and 'counts', this one has {sorted(map(str, rle))}")
    size = _numbers(rle['size'], 'iu', f"{name}: an RLE's 'size' is two integers [height, width]")
    if size.tolist() != [height, width]:
        raise ValueError(
            f'{name}: the RLE is for [height, width] = {size.tolist()}, the image has {[height, width]}; correct one of the two'
        )
    counts = rle['counts']
    if isinstance(counts, str | bytes):
        runs = _decode_counts(counts, name)
    else:
        runs = _numbers(counts, 'iu', f"{name}: an RLE's 'counts' is a list of integers or a compressed string")
    pixels = height * width
    # Each run is bounded first, so that the sum can't overflow.
    if len(runs) == 0 or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        total = f'{sum(runs.tolist())} pixels' if len(runs) and runs.min() >= 0 else 'none or negative ones'
        raise ValueError(f'{name}: the RLE has runs of {total}, the image {height} x {width} = {pixels}; write the RLE anew')
    return runs.astype(np.int64)


def _decode_counts(counts: str | bytes, name: str) -> np.ndarray:
    """Runs of a compressed RLE: signed little-endian groups of 5 bits in characters from '0'; from the fourth run on, differences
    to the run two before. Done here since pycocotools doesn't look where the string ends."""
    try:
        text = counts.encode('ascii') if isinstance(counts, str) else counts
    except UnicodeEncodeError:
        text = b' '
    chars = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((chars & 32) == 0)
    starts = np.concatenate([[0], last[:-1] + 1])
    lengths = last - starts + 1 if len(last) else np.zeros(0, dtype=np.int64)
    # 7 groups hold 34 bits and a sign, more than any image has pixels.
    if len(chars) and (chars.min() < 0 or chars.max() > 63 or not len(last) or last[-1] != len(chars) - 1 or lengths.max() > 7):
        raise ValueError(f"{name}: 'counts' is not a compressed RLE string (cut off or altered?); write the RLE anew")
    if not len(chars):
        return np.zeros(0, dtype=np.int64)
    shifts = 5 * (np.arange(len(chars)) - np.repeat(starts, lengths))
    values = np.add.reduceat((chars & 31) << shifts, starts)
    runs = values - ((chars[last] & 16) << 1 << 5 * (lengths - 1))  # sign
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


def _numbers(values: Any, kinds: str, message: str) -> np.ndarray:
    """A flat array whose dtype kind is one of `kinds`; an empty one is an error too."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        array = np.zeros(0)
    if array.ndim != 1 or array.dtype.kind not in kinds or len(array) == 0:
        raise ValueError(f'{message}, not {str(values)[:60]!r}')
    return array
