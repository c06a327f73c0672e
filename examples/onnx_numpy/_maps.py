"""Maps and what stands out in them: sampling at another size, peaks, overlaps.

Shapes: (h, w) size of a map, (H, W) of the output, N candidates.
"""

import numpy as np
from scipy.ndimage import maximum_filter


def bilinear(values: np.ndarray, shape: tuple[int, int], part: tuple[float, float] = (1, 1)) -> np.ndarray:
    """(..., h, w) at another size, as torch's `interpolate` with `align_corners=False`; unchanged where it has that size.

    Args:
        shape: (H, W).
        part: how much of the map's height and width the output shows, from the top left; (1, 1) is all of it.
    """
    if values.shape[-2:] == tuple(shape) and tuple(part) == (1, 1):
        return values
    (top, bottom, down), (left, right, across) = neighbours(values.shape[-2:], shape, part)
    values = values[..., left] + across * (values[..., right] - values[..., left])
    return values[..., top, :] + down[:, None] * (values[..., bottom, :] - values[..., top, :])


def enlarge_ids(ids: np.ndarray, shape: tuple[int, int], part: tuple[float, float], foreground: np.ndarray | None) -> np.ndarray:
    """(h, w) ids at (H, W): each pixel takes the object with the most weight among its four bilinear neighbours.

    Args:
        foreground: (H, W) bool, where an object may be; None: where objects have more than half of the weight.
    """
    if ids.shape == tuple(shape) and tuple(part) == (1, 1):
        return ids if foreground is None else np.where(foreground, ids, 0)
    (top, bottom, down), (left, right, across) = neighbours(ids.shape, shape, part)
    corners = [ids[np.ix_(rows, cols)] for rows in (top, bottom) for cols in (left, right)]
    weights = [vertical[:, None] * horizontal for vertical in (1 - down, down) for horizontal in (1 - across, across)]
    best, most = np.zeros_like(corners[0]), np.zeros_like(weights[0])
    for corner in corners:
        share = sum(np.where(corner == other, weight, 0) for other, weight in zip(corners, weights, strict=True))
        better = (corner > 0) & (share > most)
        best, most = np.where(better, corner, best), np.where(better, share, most)
    if foreground is None:
        foreground = sum(np.where(corner > 0, weight, 0) for corner, weight in zip(corners, weights, strict=True)) > 0.5
    return np.where(foreground, best, 0)


def neighbours(size: tuple[int, int], shape: tuple[int, int], part: tuple[float, float]) -> list[tuple[np.ndarray, ...]]:
    """For rows and for columns: the indices of an output pixel's two neighbours, and the share of the second, float32."""
    found = []
    for old, new, inner in zip(size, shape, part, strict=True):
        position = ((np.arange(new) + 0.5) * (old * inner / new) - 0.5).clip(0, max(old * inner - 1, 0))
        low = np.floor(position).astype(int).clip(max=old - 1)
        found.append((low, (low + 1).clip(max=old - 1), (position - low).astype(np.float32)))
    return found


def without_padding(mask: np.ndarray, extent: tuple[float, float]) -> np.ndarray:
    """A mask (h, w) without the pixels whose centres lie beyond the image's (height, width)."""
    rows, cols = (np.arange(size) + 0.5 < side for size, side in zip(mask.shape, extent, strict=True))
    return mask & rows[:, None] & cols


def count(index: np.ndarray, shape: tuple[int, int], weights: np.ndarray | None = None) -> np.ndarray:
    """(h, w) how often each flat index stands there, or the sum of its weights."""
    return np.bincount(index, weights, minlength=shape[0] * shape[1]).reshape(shape)


def smooth(counts: np.ndarray, radius: int) -> np.ndarray:
    """Sums around every cell, weighted by a Gaussian (sigma = radius / 2) that is 1 in its centre and cut off at `radius`, float32."""
    counts = counts.astype(np.float32)
    if not radius:
        return counts
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1, dtype=np.float32) / np.float32(radius / 2)) ** 2).astype(np.float64)
    for axis in (0, 1):
        size, padded = counts.shape[axis], np.pad(counts, [(radius, radius) if one == axis else (0, 0) for one in (0, 1)])
        counts = np.zeros_like(counts)
        for start, weight in enumerate(kernel):  # each sum rounded to float32, so that cells which tie in torch tie here
            counts = (counts + weight * padded.take(range(start, start + size), axis)).astype(np.float32)
    return counts


def find_peaks(heat: np.ndarray, radius: int, threshold: float) -> np.ndarray:
    """(N, 2) row and column of the cells that are the maximum of their window, in raster order; a plateau's peak is its last cell."""
    window = dict(size=2 * radius + 1, mode='constant')
    top = (heat >= threshold) & (heat == maximum_filter(heat, cval=-np.inf, **window))
    order = np.arange(1, heat.size + 1).reshape(heat.shape) * top
    return np.argwhere(top & (order == maximum_filter(order, cval=0, **window)))


def nearest_peak(peaks: np.ndarray, shape: tuple[int, int], radius: int) -> np.ndarray:
    """(h, w) 1..N the nearest peak of every cell, the earlier one on a tie; 0 where none is within the radius."""
    cells, distance = discs(peaks, shape, radius)
    nearest = np.full(shape[0] * shape[1] + 1, np.iinfo(np.int64).max)
    key = distance * (len(peaks) + 1) + np.arange(1, len(peaks) + 1)[:, None]  # the lowest has the smallest distance, then number
    np.minimum.at(nearest, cells, key)
    return np.where(nearest < np.iinfo(np.int64).max, nearest % (len(peaks) + 1), 0)[:-1].reshape(shape)


def discs(peaks: np.ndarray, shape: tuple[int, int], radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices (N, D) of the cells within a radius of each peak, h * w for one outside; and their squared distances (D,)."""
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    dy, dx = (one[dy**2 + dx**2 <= radius**2] for one in (dy, dx))
    y, x = peaks[:, :1] + dy, peaks[:, 1:] + dx
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    return np.where(inside, y * shape[1] + x, shape[0] * shape[1]), dy**2 + dx**2


def rank(scores: np.ndarray) -> np.ndarray:
    """(N,) place of each score, 0 for the highest; of two equal ones the earlier is first."""
    order = np.argsort(-scores, kind='stable')
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place


def matrix_nms(iou: np.ndarray, scores: np.ndarray, kernel: str = 'gaussian', sigma: float = 2.0) -> np.ndarray:
    """(N,) what the overlap with better candidates leaves of 1.

    Args:
        iou: (N, N); 0 between candidates that don't compete.
        scores: (N,); of two equal ones the earlier is the better.
        kernel: 'gaussian': exp(-sigma IoU^2); 'linear': 1 - IoU.
    """
    if not len(scores):
        return np.zeros(0)
    place = rank(scores)
    iou = np.where(place[:, None] < place, iou, 0)  # [i, j]: how much the better i covers j
    covered = iou.max(axis=0)[:, None]
    if kernel == 'gaussian':
        return np.exp(-sigma * (iou**2 - covered**2)).min(axis=0)
    return ((1 - iou) / np.maximum(1 - covered, np.finfo(np.float32).tiny)).min(axis=0)


def paint(owner: np.ndarray, keep: np.ndarray, y: np.ndarray, x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) int32 ids 1..K of the N groups that are kept.

    Args:
        owner: (M,) group 1..N of each pixel, 0 for none.
        keep: (N,) bool.
        y, x: (M,) the pixels.
    """
    ids = np.zeros(shape, np.int32)
    ids[y, x] = np.append(0, np.where(keep, keep.cumsum(), 0))[owner]
    return ids


def select(ids: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Ids with those of the kept rows (K,) bool only, numbered anew in their order."""
    return np.append(0, np.where(keep, keep.cumsum(), 0))[ids].astype(np.int32)


def masks_of(ids: np.ndarray, num: int) -> np.ndarray:
    """(num, H, W) bool."""
    return ids == np.arange(1, num + 1)[:, None, None]
