"""DBSCAN of a bounded sample: which points to take, with which parameters, and the cores found (embedding_unet_dbscan, Section 6).

Shapes: M points, n of them in the sample, C cores, K clusters, d dims.
"""

import random

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN
from torch import Tensor

_NEIGHBOUR = 4  # of the k-distance curve, as in the paper that introduced DBSCAN (Ester et al., 1996)
_STEEP = 2.5  # eps in medians of that curve
_SHARE = 1 / 5  # of the usual density, from which on a point is a core
_CURVE = 512  # points of the curve
_BLOCK = 256  # points whose distances to the others are in memory at once
_DENSE = 1 / 8  # of the points, from which on lists of neighbours take longer than scikit-learn


def sample_by_value(points: Tensor, size: int) -> Tensor:
    """A deterministic sample that depends on what the points are, not on their order (ours).

    Points are sorted by a fixed projection, computed exactly in whole numbers, and taken at even ranks: every region of the space gets its
    share, equal points too. Time M d + M log M, memory 24 bytes * M + 12 bytes * M d.

    Args:
        points: (M, d) float32, finite.
        size: n; where there are no more points, all are taken.

    Returns:
        (min(n, M),) int64 rows, in the order of the projection; the earlier row where projections are equal, which are those of points that
        differ by no more than 1 / 4096.
    """
    num, dims = points.shape
    draw = random.Random(0).random  # the same in every version of Python, by its documentation
    weights = torch.tensor([int(2**26 * draw()) - 2**25 for _ in range(dims)], dtype=torch.float64).to(points.device)
    # In steps of 1 / 4096 up to 512: whole numbers, whose sum stays below 2^53 for 64 dims and is thus the same in any order
    steps = [(part * 4096).round_().clamp_(-(2.0**21), 2.0**21).double() @ weights for part in points.split(2**12)]
    key = torch.cat(steps).long() if steps else points.new_zeros(0, dtype=torch.int64)
    size = min(size, num)
    return key.argsort(stable=True)[torch.arange(size, device=points.device) * num // max(size, 1)]


def adaptive_parameters(sample: Tensor, low: float, high: float, eps: float | None = None) -> tuple[float, int]:
    """eps and min_samples from the density of the sample. Section 6.5 only says that they adapt; the rule is ours.

    eps is 2.5 times the median of the k-distance curve, k = 4, within [low, high]: objects that the loss has let spread as wide as it
    allows stay in one piece, and a smaller eps would cut them. min_samples is a fifth of the median number of points within eps, so that
    the thin line of pixels between two objects has no cores, but at most half of the points that an object has: the harmonic mean of the
    points within `high`, as every object counts once in the sum of their inverses. Never below 2, so that noise alone is no cluster.

    Reads two numbers back. Memory 8 bytes * n * min(n, 1024).

    Args:
        sample: (n, d) float32, n >= 1.
        low: lowest eps; what the loss lets a pixel be away from its mean, or a bit less.
        high: highest eps; two points of an object may be that far apart.
        eps: given, in place of the adaptive one.
    """
    curve = sample[:: max(len(sample) // _CURVE, 1)]
    distance = torch.cdist(curve, sample)
    if eps is None:
        kth = distance.topk(min(_NEIGHBOUR + 1, len(sample)), largest=False).values[:, -1]  # the first is the point itself
        eps = float((_STEEP * kth.median()).clamp(low, high))
    density = (distance <= eps).sum(dim=1, dtype=torch.int32).median()
    object_size = len(curve) / (distance <= high).sum(dim=1, dtype=torch.int32).double().reciprocal().sum()
    return eps, max(int(torch.minimum(_SHARE * density, object_size / 2)), 2)


def dbscan_cores(sample: Tensor, eps: float, min_samples: int) -> tuple[Tensor, Tensor]:
    """Core points and clusters of DBSCAN. Two points within eps are neighbours, a point with `min_samples`, itself included, is a core.

    On a CPU by scikit-learn where more than an eighth of the points are neighbours, else from the list of neighbours, with SciPy's
    connected components: the same in less than half of the time. On a GPU by `linked_cores`, so that nothing leaves it.

    Time n^2 d, memory 8 bytes * n * points within eps, at most 8 n^2.

    Args:
        sample: (n, d) float32, finite, n >= 1.

    Returns:
        rows (C,) int64 and cluster (C,) int64 in 0..K-1, ascending, on the sample's device. Clusters are numbered by their first core.
    """
    if sample.device.type != 'cpu':
        return linked_cores(sample, eps, min_samples)
    pairs = _neighbours(sample, eps)
    if pairs is None:
        found = DBSCAN(eps=eps, min_samples=min_samples, algorithm='brute').fit(sample.numpy())  # trees are slower beyond 15 dims
        rows, cluster = found.core_sample_indices_, found.labels_[found.core_sample_indices_]
    else:
        rows, cluster = _components(*pairs, len(sample), min_samples)
    return _by_cluster(torch.from_numpy(rows), torch.from_numpy(cluster))


def _neighbours(sample: Tensor, eps: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Pairs i < j within eps: (P,) i, ascending, and (P,) j; None where they are many.

    By matrix products of float32; pairs that their rounding leaves open, by at most c (|p|^2 + |q|^2), are looked at again in float64.
    """
    c, squares = (sample.shape[1] + 8) * 2.0**-23, sample.square().sum(dim=1)
    offset, square = (1 - c) * squares - (1 + c) * eps**2, squares.numpy()
    found = []
    for start in range(0, len(sample), _BLOCK):
        part, own = sample[start : start + _BLOCK], square[start : start + _BLOCK]
        gap = torch.addmm(offset[start:], part, sample[start:].T, alpha=-2).numpy()
        flat = np.flatnonzero(gap <= (c - 1) * own[:, None])
        if len(flat) > max(_DENSE * len(sample), _BLOCK) * len(part):
            return None
        i = flat // gap.shape[1]
        j = flat - i * gap.shape[1]
        later = j > i
        flat, i, j = flat[later], i[later], j[later]
        excess = gap.reshape(-1)[flat] + 2 * c * (square[start:][j] + eps**2) + (1 + c) * own[i]
        open_ = np.flatnonzero(excess > 0)
        p, q = (sample[start + one[open_]].double() for one in (i, j))
        far = open_[((p - q).square().sum(dim=1) > eps**2).numpy()]
        found.append((start + np.delete(i, far), start + np.delete(j, far)))
    first, second = zip(*found, strict=True)
    return np.concatenate(first), np.concatenate(second)


def _components(first: np.ndarray, second: np.ndarray, count: int, min_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """`dbscan_cores` of that many points by `_neighbours`; rows ascend."""
    core = np.bincount(first, minlength=count) + np.bincount(second, minlength=count) + 1 >= min_samples
    linked = core[first] & core[second]
    first, second = first[linked], second[linked]
    starts = np.concatenate([[0], np.bincount(first, minlength=count).cumsum()])
    graph = csr_matrix((np.ones(len(second), bool), second, starts), shape=(count, count))
    rows = np.flatnonzero(core)
    return rows, np.unique(connected_components(graph, directed=False)[1][rows], return_inverse=True)[1]


def linked_cores(sample: Tensor, eps: float, min_samples: int) -> tuple[Tensor, Tensor]:
    """`dbscan_cores` in torch: clusters are the connected components of the cores within eps, numbered by their first core.

    Each core takes the lowest number among its neighbours, then that core's own; repeated until nothing changes, about log2 of the
    longest chain of cores. Reads a number back each time. Time n^2 d, memory 12 bytes * n^2.
    """
    near = torch.cdist(sample, sample, compute_mode='donot_use_mm_for_euclid_dist') <= eps
    rows = (near.sum(dim=1) >= min_samples).nonzero()[:, 0]
    near = near[rows][:, rows]
    first = torch.arange(len(rows), device=sample.device)
    while len(rows):
        lowest = torch.where(near, first.int(), len(rows)).amin(dim=1).long()
        lowest = lowest[lowest]
        if torch.equal(lowest, first):
            break
        first = lowest
    return _by_cluster(rows, first.unique(return_inverse=True)[1])


def _by_cluster(rows: Tensor, cluster: Tensor) -> tuple[Tensor, Tensor]:
    cluster, order = cluster.sort(stable=True)
    return rows[order], cluster
