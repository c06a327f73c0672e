"""The embedding U-Net by onnxruntime, NumPy and scikit-learn: pixels of one object lie close together, DBSCAN of a sample finds them.

Shapes: (h, w) size of the maps, d dims, M foreground pixels, n of them in a sample, K clusters.
"""

import random
from functools import partial

import numpy as np
from _bottom_up import segment_by
from _common import main
from _maps import paint
from scipy.spatial.distance import cdist
from sklearn.cluster import DBSCAN

ROUNDS = 4
DISTANCES = 2**22  # between pixels and cores, held at a time


def decode(maps: dict[str, np.ndarray], foreground: np.ndarray, extent: tuple[float, float], codec: dict) -> tuple[np.ndarray, np.ndarray]:
    """`EmbeddingCodec.decode` of one image; see `_bottom_up.Decode`."""
    y, x = np.nonzero(foreground)
    order = np.lexsort((x % 4, y % 4, x // 4, y // 4))  # the codec's, which settles ties: blocks of 4x4 pixels
    y, x = y[order], x[order]
    points = np.ascontiguousarray(maps['embedding'][:, y, x].T)
    border = borders(maps['embedding'], foreground)[y, x]
    valid = np.linalg.norm(points, axis=1) <= 1e15
    y, x, points, border = y[valid], x[valid], points[valid], border[valid]

    owner, missed, num = cluster_points(points, border, codec)
    joined = owner >= 0
    y, x, owner = y[joined], x[joined], owner[joined]
    areas = np.bincount(owner, minlength=num)
    scores = (1 - np.bincount(owner, missed[joined], num) / areas.clip(min=1) / (codec['delta_dist'] / 2)).clip(min=0)

    # The largest first, then in raster order
    first = np.full(num, foreground.size)
    np.minimum.at(first, owner, y * foreground.shape[1] + x)
    order = np.lexsort((first, -areas))
    place = np.empty(num, int)
    place[order] = np.arange(num)
    keep = areas[order] >= codec['min_area']
    return paint(place[owner] + 1, keep, y, x, foreground.shape), scores[order][keep]


def cluster_points(points: np.ndarray, border: np.ndarray, codec: dict) -> tuple[np.ndarray, np.ndarray, int]:
    """Clusters (M,) of points (M, d), -1 for noise; distances (M,) to the means of their cores, none of which is in `border`; and K."""
    limit = max(0.99 * (codec['delta_dist'] - 2 * codec['delta_var']), codec['eps'] or 0.0)  # the highest eps
    lowest = min(0.8 * codec['delta_var'], limit)
    apart = codec['delta_dist'] - codec['delta_var']  # as far as another object's pixels are
    owner, nearest = np.full(len(points), -1), np.full(len(points), -1)
    distance = np.full(len(points), np.inf)  # to the nearest core so far
    hidden, between, late = border.copy(), np.zeros(len(points), bool), np.zeros(len(points), bool)
    cores, cluster, eps = points[:0], np.zeros(0, int), codec['eps']
    for number in range(ROUNDS):
        rest = np.flatnonzero((owner < 0) & ~hidden & ~between)
        if not len(rest):
            break
        sample = points[rest[even_ranks(points[rest], codec['sample_size'])]]
        if not number:  # products are exact near 0 only
            middle = median(sample)
            points, sample = points - middle, sample - middle
        eps, min_samples = adaptive(sample, lowest, limit, eps)
        if number:
            min_samples = min(min_samples, codec['min_area'])
        found = DBSCAN(eps=eps, min_samples=codec['min_samples'] or min_samples, algorithm='brute').fit(sample)
        rows = found.core_sample_indices_
        if not len(rows) and number:
            break
        new = found.labels_[rows] + cluster.max(initial=-1) + 1
        cores, cluster = np.concatenate([cores, sample[rows]]), np.concatenate([cluster, new])

        todo = np.flatnonzero(owner < 0)
        far, by = nearest_core(points[todo], sample[rows])
        nearer = far < distance[todo]
        nearest[todo[nearer]], distance[todo[nearer]] = new[by[nearer]], far[nearer]
        joins = todo[~hidden[todo] & (distance[todo] <= eps)]
        owner[joins] = nearest[joins]
        freed = hidden & (distance > apart)  # no transition between two objects: too far from both
        late = hidden & ~freed & (distance <= limit)
        hidden &= ~freed
        between = distance <= limit
    owner[late] = nearest[late]
    num = cluster.max(initial=-1) + 1
    means = np.stack([np.bincount(cluster, one, num) for one in cores.T], axis=1) / np.bincount(cluster, minlength=num)[:, None]
    return owner, np.linalg.norm(points - means[owner], axis=1) if num else distance, num


def borders(embedding: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels that differ from one of their four neighbours in the foreground by more than twice the median difference."""
    change = np.zeros(foreground.shape, np.float32)
    for axis in (0, 1):
        before, after = ([slice(None)] * axis + [side] for side in (slice(None, -1), slice(1, None)))
        step = (np.diff(embedding, axis=axis + 1) ** 2).sum(axis=0)
        step = np.where(foreground[tuple(before)] & foreground[tuple(after)] & np.isfinite(step), step, 0)
        for side in (tuple(before), tuple(after)):
            change[side] = np.maximum(change[side], step)
    return foreground & (change > 4 * median(change[foreground])) if foreground.any() else foreground  # squares


def even_ranks(points: np.ndarray, size: int) -> np.ndarray:
    """Rows of at most `size` points, at even ranks of a fixed projection in whole numbers: a sample that ignores their order."""
    draw = random.Random(0).random
    weights = np.array([int(2**26 * draw()) - 2**25 for _ in range(points.shape[1])], np.float64)
    key = np.rint(points * np.float32(4096)).clip(-(2.0**21), 2.0**21).astype(np.float64) @ weights
    size = min(size, len(points))
    return np.argsort(key, kind='stable')[np.arange(size) * len(points) // size]


def adaptive(sample: np.ndarray, low: float, high: float, eps: float | None) -> tuple[float, int]:
    """eps, 2.5 medians of the distance to the fourth neighbour within [low, high]; and min_samples, a fifth of the usual neighbours."""
    curve = sample[:: max(len(sample) // 512, 1)]
    distance = cdist(curve, sample)
    if eps is None:
        place = min(5, len(sample)) - 1  # the first is the point itself
        eps = float(np.clip(2.5 * median(np.partition(distance, place, axis=1)[:, place]), low, high))
    density = median((distance <= eps).sum(axis=1))
    object_size = len(curve) / (1 / (distance <= high).sum(axis=1)).sum()
    return eps, max(int(min(density / 5, object_size / 2)), 2)


def nearest_core(points: np.ndarray, cores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (M,) of the points to their nearest cores, and which these are (M,); infinity without any core."""
    distance, index = np.full(len(points), np.inf), np.zeros(len(points), int)
    if not len(cores):
        return distance, index
    squares = (cores**2).sum(axis=1)
    step = max(DISTANCES // len(cores), 1)
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        index[part] = (squares - 2 * points[part] @ cores.T).argmin(axis=1)
        distance[part] = np.linalg.norm(points[part] - cores[index[part]], axis=1)
    return distance, index


def median(values: np.ndarray) -> np.ndarray:
    """Along the first axis; of two middle values the lower, as torch's."""
    middle = (len(values) - 1) // 2
    return np.partition(values, middle, axis=0)[middle]


segment = partial(segment_by, decode, 'embedding')

if __name__ == '__main__':
    main('embedding_unet.py', __doc__, segment)
