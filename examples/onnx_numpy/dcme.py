"""DCME by onnxruntime and NumPy: every pixel votes for its object's centre of mass, the votes' peaks are the objects.

Shapes: (h, w) size of the maps, M foreground pixels, N peaks.
"""

from functools import partial

import numpy as np
from _bottom_up import segment_by
from _common import main
from _maps import count, find_peaks, nearest_peak, paint, smooth


def decode(maps: dict[str, np.ndarray], foreground: np.ndarray, extent: tuple[float, float], codec: dict) -> tuple[np.ndarray, np.ndarray]:
    """`DCMECodec.decode` of one image; see `_bottom_up.Decode`."""
    cell, reach, radius = codec['cell'], codec['join_radius'], codec['peak_radius']
    y, x = np.nonzero(foreground)
    votes = maps['displacement'][:, y, x] * np.float32(codec['unit']) + np.float32([x, y])

    # Where each pixel sees its object's centre, in cells of a histogram with a margin of the joining radius
    shape = tuple(int(-(-side // cell)) + 2 * reach for side in foreground.shape)
    col, row = (cell_of(vote, cell, reach) for vote in votes)
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    heat = smooth(count((row * shape[1] + col)[inside], shape), radius)
    peaks = find_peaks(heat, radius, codec['min_votes'])

    # A pixel joins the peak nearest to its vote
    owner = np.zeros(len(y), int)
    owner[inside] = nearest_peak(peaks, shape, reach)[row[inside], col[inside]]
    centre = np.append([[0, 0]], peaks, axis=0)[owner].T
    missed = np.abs([row, col] - centre).max(axis=0)
    if codec['max_miss'] is not None:
        away = np.abs([cell_of(y, cell, reach), cell_of(x, cell, reach)] - centre).max(axis=0)
        owner[missed > np.maximum(codec['max_miss'] * away, radius)] = 0

    # Groups that are large enough, scored by the share of votes near the peak
    areas, near = (np.bincount(one, minlength=len(peaks) + 1)[1:] for one in (owner, owner[missed <= radius]))
    keep = areas >= codec['min_area']
    return paint(owner, keep, y, x, foreground.shape), near[keep] / areas[keep]


def cell_of(place: np.ndarray, cell: float, margin: int) -> np.ndarray:
    """The cell of a position in pixel indices; one far outside where it isn't a number."""
    return np.nan_to_num(np.floor((place + np.float32(0.5)) / np.float32(cell)), nan=-1e6).clip(-1e6, 1e6).astype(int) + margin


segment = partial(segment_by, decode, 'displacement')

if __name__ == '__main__':
    main('dcme.py', __doc__, segment)
