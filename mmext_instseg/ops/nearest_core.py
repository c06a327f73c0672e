"""The nearest cluster core of every pixel: exact, without comparing all pixels with all cores.

Shapes: M points, C cores, K clusters, d dims.
"""

import torch
from torch import Tensor

from .segments import segment_mean, segment_sum

_ROWS = 512  # points that go to one range of cores on a CPU; their distances stay in its cache
_FEW = 128
_MANY = 64  # means, from which on points ask those beside them first; every 16th asks all
_EVERY = 16
_SLACK = 1e-3  # of distances, for the rounding of the matrix product


def nearest_core(
    points: Tensor, cores: Tensor, cluster: Tensor, num_clusters: int, radius: float | Tensor, enough: float | Tensor = 0.0
) -> tuple[Tensor, Tensor]:
    """The cluster of the nearest core within a radius, on the tensors' device.

    A point is compared with the K cluster means first. With r_j the largest distance of a core of j to the mean c_j, no core of j is nearer
    than |p - c_j| - r_j. So the point looks at the cores of the cluster with the nearest mean, and at all cores only where another cluster
    could still have one that is nearer and within the radius. That is rare where clusters are apart.

    Time M (K + C / K) d, with `enough` M (K + 128) d, of K from 64 on a 16th where points lie beside others of their cluster; M C d
    where nothing is apart. Memory: 8 bytes * M d, 40 bytes * M, and of temporary distances 4 bytes * max(512 C, 512 K, 2^17) on a CPU,
    4 bytes * 2^26 on a GPU. What is read back doesn't depend on K.

    Args:
        points: (M, d) float32, finite. Near 0 for accuracy: the product's rounding grows with the square of the norm.
        cores: (C, d) float32.
        cluster: (C,) int64 in 0..K-1, ascending, each at least once.
        num_clusters: K.
        radius: a core at this distance still counts; (M,) for one of each point.
        enough: a point with one of about 128 cores of its cluster this near looks no further: the same cluster, another distance. (M,) for
            one of each point.

    Returns:
        cluster (M,) int64, -1 where no core is within the radius, the earlier core's on a tie; distance (M,) float32 to the nearest core.
        Up to `enough` it may be that to another core of the cluster, beyond the radius that to any core.
    """
    if not len(cores) or not len(points):
        return points.new_full((len(points),), -1, dtype=torch.int64), points.new_full((len(points),), torch.inf)
    means = segment_mean(cores, cluster, num_clusters)
    away = torch.linalg.vector_norm(cores - means[cluster], dim=1)
    reach = away.new_zeros(num_clusters).scatter_reduce_(0, cluster, away, 'amax')
    guess, others = _nearest_mean(points, means)
    few = _few_of_each(cluster, num_clusters)
    core = few[_in_order(points, cores[few], cluster[few], num_clusters, guess)]
    distance = _distance(points, cores, core)
    open_ = (distance > enough).nonzero()[:, 0]
    if len(few) < len(cores) and len(open_):
        core[open_] = _in_order(points[open_], cores, cluster, num_clusters, guess[open_])
        distance[open_] = _distance(points[open_], cores, core[open_])
    # What the largest reach of all leaves open, the reach of each cluster may settle; the rest looks at all cores
    within = distance.clamp(max=radius) + _SLACK
    open_ = (others - reach.amax() < within).nonzero()[:, 0]
    open_ = open_[_nearest_other(points[open_], means, reach, guess[open_]) < within[open_]]
    for part in open_.split(_rows(points.device, len(cores))):
        core[part] = _closest(points[part], cores)
        distance[part] = _distance(points[part], cores, core[part])
    return torch.where(distance <= radius, cluster[core], -1), distance


def _few_of_each(cluster: Tensor, num_clusters: int) -> Tensor:
    """Rows of at most `_FEW` cores of each cluster, evenly taken."""
    sizes = segment_sum(torch.ones_like(cluster), cluster, num_clusters)
    rank = torch.arange(len(cluster), device=cluster.device) - (sizes.cumsum(0) - sizes)[cluster]
    step = (sizes + _FEW - 1) // _FEW
    return (rank % step[cluster] == 0).nonzero()[:, 0]


def _nearest_mean(points: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) the nearest mean, and (M,) a distance that no other mean is nearer than; inf where there is one mean.

    Where there are many means, most points ask only those of the points beside them, which of an image's pixels in blocks are mostly of the
    same object: one that is nearer than half the way to the next mean has none nearer.
    """
    if len(means) < _MANY:
        return _search_means(points, means)
    asked = torch.cat([_closest(part, means) for part in points[::_EVERY].split(_rows(points.device, len(means)))])
    before, after = (one.repeat_interleave(_EVERY)[: len(points)] for one in (asked, torch.cat([asked[1:], asked[-1:]])))
    to_before, to_after = (_distance(points, means, one) for one in (before, after))
    guess, distance = torch.where(to_after < to_before, after, before), torch.minimum(to_before, to_after)
    gap = _search_means(means, means)[1][guess] - _SLACK
    others = gap - distance
    open_ = (distance >= gap / 2).nonzero()[:, 0]
    guess[open_], others[open_] = _search_means(points[open_], means)
    return guess, others


def _search_means(points: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) the nearest of all means, and (M,) the distance to the second nearest; inf where there is one mean."""
    guess, second = [points.new_zeros(0, dtype=torch.int64)], [points.new_zeros(0)]
    for part in points.split(_rows(points.device, len(means))):
        squared = _squared(part, means)
        best = _least(squared)
        guess.append(best)
        second.append(squared.scatter_(1, best[:, None], torch.inf).amin(dim=1))
    return torch.cat(guess), torch.cat(second).add_(points.square().sum(dim=1)).clamp_(min=0).sqrt_()


def _nearest_other(points: Tensor, means: Tensor, reach: Tensor, guess: Tensor) -> Tensor:
    """(M,) how near a core of another cluster than the guessed one may be at most."""
    bounds = [points.new_zeros(0)]
    step = _rows(points.device, len(means))
    for part, own in zip(points.split(step), guess.split(step), strict=True):
        squared = _squared(part, means).add_(part.square().sum(dim=1, keepdim=True))
        bounds.append(squared.clamp_(min=0).sqrt_().sub_(reach).scatter_(1, own[:, None], torch.inf).amin(dim=1))
    return torch.cat(bounds)


def _in_order(points: Tensor, cores: Tensor, cluster: Tensor, num_clusters: int, guess: Tensor) -> Tensor:
    """(M,) the nearest core, at least among those of the guessed cluster.

    Points are sorted by their guess, so that a fixed number of them needs one range of cores: no loop over clusters.
    """
    guess, order = guess.sort(stable=True)
    points = points.index_select(0, order)
    sizes = segment_sum(torch.ones_like(cluster), cluster, num_clusters)
    ends = sizes.cumsum(0)
    starts = ends - sizes
    step = _rows(points.device, len(cores))
    last = torch.arange(step - 1, len(guess) + step - 1, step, device=guess.device).clamp(max=len(guess) - 1)
    ranges = torch.stack([starts[guess[::step]], ends[guess[last]]], dim=1).tolist()
    found = [start + _closest(part, cores[start:end]) for part, (start, end) in zip(points.split(step), ranges, strict=True)]
    return torch.empty_like(order).scatter_(0, order, torch.cat(found))


def _closest(points: Tensor, cores: Tensor) -> Tensor:
    """(M,) the nearest of all cores, the earliest on a tie."""
    return _least(_squared(points, cores))


def _least(squared: Tensor) -> Tensor:
    """(M, C) -> (M,) where each row is least, the first on a tie."""
    if squared.device.type == 'cpu':
        return torch.from_numpy(squared.numpy().argmin(axis=1))  # nine times as fast as torch's
    return squared.argmin(dim=1)


def _distance(points: Tensor, others: Tensor, index: Tensor) -> Tensor:
    """(M,) of each point to the one of the others at its index."""
    return torch.linalg.vector_norm(points - others.index_select(0, index), dim=1)


def _squared(points: Tensor, cores: Tensor) -> Tensor:
    """(M, C) squared distances without the points' own squares."""
    with torch.autocast(points.device.type, enabled=False):
        return torch.addmm(cores.square().sum(dim=1), points, cores.T, alpha=-2)


def _rows(device: torch.device, width: int) -> int:
    """How many points at once have `width` distances each."""
    return min(max(2**17 // max(width, 1), _ROWS), 16 * _ROWS) if device.type == 'cpu' else max(2**26 // max(width, 1), 1)
