"""PE-centroid by onnxruntime and NumPy: every pixel holds the sine-cosine code of its object's centroid, read off on a grid.

Shapes: (h, w) size of the maps, M foreground pixels, L harmonics, (R, C) rows and columns of the grid, N candidates.
"""

from functools import partial

import numpy as np
from _bottom_up import segment_by
from _common import main
from _maps import count, discs, find_peaks, matrix_nms, nearest_peak, paint, rank, smooth
from scipy.sparse import csr_matrix

BLOCK = 2**14  # pixels that are compared with the grid at a time


def decode(maps: dict[str, np.ndarray], foreground: np.ndarray, extent: tuple[float, float], codec: dict) -> tuple[np.ndarray, np.ndarray]:
    """`PECentroidCodec.decode` of one image; see `_bottom_up.Decode`."""
    harmonics, shape = codec['harmonics'], tuple(codec['grid'])
    tables = [place_codes(np.arange(num), num, codec) for num in shape]  # of the middles of the grid's rows and columns
    y, x = np.nonzero(foreground)
    across, down = np.split(maps['centroid_code'][:, y, x], 2)
    if codec['relative']:  # the maps hold centroid - pixel: the pixel's own place is added
        down, across = (rotate(down, place_codes(y, extent[0], codec).T), rotate(across, place_codes(x, extent[1], codec).T))

    # The nearest cell of the grid is that of the best row and the best column; void where its affinity is below void's, L
    (row_affinity, row), (col_affinity, col) = (best(values, table) for values, table in zip((down, across), tables, strict=True))
    chosen = row_affinity + col_affinity >= harmonics
    cell = row * shape[1] + col
    distance = miss(down, across, tables[0][row], tables[1][col], harmonics)

    # Peaks of the counts are candidates; their masks are the pixels that chose a cell nearby
    votes = count(cell[chosen], shape)
    missed = count(cell[chosen], shape, distance[chosen]).ravel()
    least, near = max(codec['min_pixels'], 1), codec['near_radius']
    peaks = find_peaks(smooth(votes, codec['peak_radius']), codec['peak_radius'], least)
    cells, _ = discs(peaks, shape, near)
    rows = np.repeat(np.arange(len(peaks)), cells.shape[1])
    masks = csr_matrix((np.ones(cells.size), (rows, cells.ravel())), (len(peaks), votes.size + 1))[:, :-1]  # without those outside
    shared = (masks.multiply(votes.ravel()) @ masks.T).toarray()
    areas = shared.diagonal()
    iou = shared / (areas[:, None] + areas - shared).clip(min=1)
    factor = matrix_nms(iou, 1 - masks @ missed / areas.clip(min=1)).astype(np.float32)
    kept = factor >= codec['nms_threshold']
    peaks, factor = peaks[kept], factor[kept]

    # A pixel joins the survivor near its cell, else the one of the highest affinity, or void
    owner = np.where(chosen, nearest_peak(peaks, shape, near).ravel()[cell], 0)
    own_rows, own_cols = tables[0][peaks[:, 0]], tables[1][peaks[:, 1]]
    rest = np.flatnonzero(chosen & (owner == 0))
    if len(peaks):
        affinity, index = best(np.concatenate([down, across])[:, rest], np.concatenate([own_rows, own_cols], axis=1))
        owner[rest] = np.where(affinity >= harmonics, index + 1, 0)
    joined = np.flatnonzero(owner)
    to = owner[joined] - 1
    distance = miss(down[:, joined], across[:, joined], own_rows[to], own_cols[to], harmonics)

    # The best `max_instances` groups of at least `min_pixels`
    areas = np.bincount(to, minlength=len(peaks))
    scores = (1 - np.bincount(to, distance, len(peaks)) / areas.clip(min=1)) * factor
    keep = areas >= least
    if codec['max_instances'] is not None:
        keep &= rank(np.where(keep, scores, -1)) < codec['max_instances']
    return paint(owner, keep, y, x, foreground.shape), scores[keep]


def place_codes(index: np.ndarray, side: float, codec: dict) -> np.ndarray:
    """Codes (n, 2 L), sin and cos in turn, of the middles of pixels or cells (n,) of an axis with so many of them, float32."""
    places = (1 - codec['margin']) * ((2 * index + 1) / side - 1)
    angles = np.pi * 2.0 ** np.arange(codec['harmonics']) * places[:, None]
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(index), -1).astype(np.float32)


def rotate(code: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The code (2 L, M) of a place p and that of q give that of p + q."""
    (sin, cos), (by_sin, by_cos) = ((one[::2], one[1::2]) for one in (code, by))
    return np.stack([sin * by_cos + cos * by_sin, cos * by_cos - sin * by_sin], axis=1).reshape(code.shape)


def best(values: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest affinity (M,) of values (D, M) to the codes of a table (n, D), and the first code that has it (M,)."""
    affinity, index = np.empty(values.shape[1], np.float32), np.empty(values.shape[1], int)
    for start in range(0, values.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        terms = table @ values[:, part]
        index[part], affinity[part] = terms.argmax(axis=0), terms.max(axis=0)
    return affinity, index


def miss(down: np.ndarray, across: np.ndarray, rows: np.ndarray, cols: np.ndarray, harmonics: int) -> np.ndarray:
    """Distances (M,) of codes (2 L, M) to those of cells (M, 2 L), as a share of the maximum."""
    squared = ((down - rows.T) ** 2).sum(axis=0) + ((across - cols.T) ** 2).sum(axis=0)
    return np.sqrt(squared / (2 * harmonics)).clip(max=1)


segment = partial(segment_by, decode, 'centroid_code')

if __name__ == '__main__':
    main('pe_centroid.py', __doc__, segment)
