"""DBSCAN of a bounded sample: which points to take, with which parameters, and the cores found (embedding_unet_dbscan, Section 6).

Shapes: M points, n of them in the sample, C cores, K clusters, d dims.
"""

import random

import torch
from sklearn.cluster import DBSCAN
from torch import Tensor

_NEIGHBOUR = 4  # of the k-distance curve, as in the paper that introduced DBSCAN (Ester et al., 1996)
_STEEP = 2.5  # eps in medians of that curve
_SHARE = 1 / 5  # of the usual density, from which on a point is a core
_CURVE = 512  # points of the curve


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
    key = (points * 4096).round_().clamp_(-(2.0**21), 2.0**21).double() @ weights
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
    density = (distance <= eps).sum(dim=1).median()
    object_size = len(curve) / (distance <= high).sum(dim=1).double().reciprocal().sum()
    return eps, max(int(torch.minimum(_SHARE * density, object_size / 2)), 2)


def dbscan_cores(sample: Tensor, eps: float, min_samples: int) -> tuple[Tensor, Tensor]:
    """Core points and their clusters: by scikit-learn on a CPU, by `linked_cores` on a GPU, so that nothing leaves it.

    Time n^2 d, memory 8 bytes * n * points within eps, at most 8 n^2.

    Args:
        sample: (n, d) float, finite, n >= 1.

    Returns:
        rows (C,) int64 and cluster (C,) int64 in 0..K-1, ascending, on the sample's device.
    """
    if sample.device.type != 'cpu':
        return linked_cores(sample, eps, min_samples)
    found = DBSCAN(eps=eps, min_samples=min_samples, algorithm='brute').fit(sample.numpy())  # trees are slower beyond 15 dims
    rows = torch.from_numpy(found.core_sample_indices_)
    return _by_cluster(rows, torch.from_numpy(found.labels_)[rows])


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
