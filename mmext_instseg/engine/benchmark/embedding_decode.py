"""Decoding of embeddings: the codec against one whose pixels look at every core, and against DBSCAN of all pixels."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from sklearn.cluster import DBSCAN
from torch import Tensor

from ...codecs import EmbeddingCodec
from ...ops import adaptive_parameters, sample_by_value
from ...structures import InstanceMap
from .decode import draw_blobs
from .measurement import Case, Measurement

FOREGROUND = 0.3  # share of the pixels
FEW = 20  # instances where DBSCAN takes all pixels
_ROWS = 512  # pixels of the brute force at a time; more are slower


def search_all_cores(
    points: Tensor, cores: Tensor, cluster: Tensor, num_clusters: int, radius: float | Tensor, enough: float | Tensor = 0.0
) -> tuple[Tensor, Tensor]:
    """`ops.nearest_core`, but that every point is compared with every core."""
    squares = cores.square().sum(dim=1)
    parts = points.split(_ROWS if points.device.type == 'cpu' else max(2**26 // len(cores), 1))
    core = torch.cat([torch.addmm(squares, part, cores.T, alpha=-2).min(dim=1).indices for part in parts])
    distance = torch.linalg.vector_norm(points - cores[core], dim=1)
    return torch.where(distance <= radius, cluster[core], -1), distance


class AllCoresCodec(EmbeddingCodec):
    """The same codec with `search_all_cores`."""

    search = staticmethod(search_all_cores)


def embedding_decode_cases(
    sizes: Sequence[tuple[int, int]], instances: Sequence[int], points: Sequence[int], device: torch.device, dims: int = 32, seed: int = 0
) -> Iterator[tuple[str, Case]]:
    """('all cores', case) of every size and number of instances, then ('full DBSCAN', case) of every number of foreground pixels.

    Args:
        sizes: (H, W) of the maps.
        instances: numbers K.
        points: about how many foreground pixels there are where DBSCAN takes them all, of `FEW` instances on a square map.
    """
    codec, brute = EmbeddingCodec(dims), AllCoresCodec(dims)
    for shape in sizes:
        for count in instances:
            maps, foreground, expected = draw_embeddings(codec, shape, count, device, seed)
            yield 'all cores', _case(codec, brute.decode, maps, foreground, expected)
    for number in points:
        side = round(math.sqrt(number / FOREGROUND))
        maps, foreground, expected = draw_embeddings(codec, (side, side), FEW, device, seed)
        yield 'full DBSCAN', _case(codec, partial(decode_by_full_dbscan, codec), maps, foreground, expected)


def _case(codec: EmbeddingCodec, baseline: Callable, maps: dict[str, Tensor], foreground: Tensor, expected: InstanceMap) -> Case:
    columns = dict(size='{}x{}'.format(*expected.shape), points=int(foreground.sum()), instances=len(expected))
    ours, theirs = partial(codec.decode, maps, foreground), partial(baseline, maps, foreground)
    return Case(columns, foreground[0].numel(), ours, theirs, partial(find_difference, count=len(expected)))


def draw_embeddings(
    codec: EmbeddingCodec, shape: tuple[int, int], count: int, device: torch.device, seed: int = 0
) -> tuple[dict[str, Tensor], Tensor, InstanceMap]:
    """Noisy embeddings of blobs that take 30 % of the pixels.

    Means are delta_dist apart, where the loss ends. Gaussian noise of 0.08 a channel puts pixels of 32 dims 0.45 from their mean; 1 % of
    the pixels are strays, far from all others.

    Returns:
        maps and foreground of a batch of one; the instances.
    """
    blobs = draw_blobs(shape, math.ceil(count * 0.5 / FOREGROUND), seed)  # blobs take a half
    blobs = blobs.select(torch.arange(len(blobs)) < count)
    generator = torch.Generator().manual_seed(seed)
    embedding = codec.encode(blobs)[0]['embedding'] / 2
    embedding = embedding + 0.08 * torch.randn(embedding.shape, generator=generator)
    stray = torch.rand(shape, generator=generator) < 0.01
    embedding = torch.where(stray, embedding + 2 * torch.randn(embedding.shape, generator=generator), embedding)
    return {'embedding': embedding[None].to(device)}, (blobs.ids > 0)[None].to(device), blobs


def decode_by_full_dbscan(codec: EmbeddingCodec, maps: dict[str, Tensor], foreground: Tensor) -> list[InstanceMap]:
    """Section 6.2 as it is written: DBSCAN of all foreground pixels of an image, on the host.

    eps is the codec's, min_samples grows with the number of pixels. The memory is that of all pairs within eps. Labels are as canonical
    as the codec's; there are no scores.
    """
    found = []
    for embedding, mask in zip(maps['embedding'].float().cpu(), foreground.cpu(), strict=True):
        points = embedding[:, mask].T.contiguous()
        sample = points[sample_by_value(points, codec.sample_size)]
        eps, min_samples = adaptive_parameters(sample - sample.median(dim=0).values, codec.lowest, codec.limit)
        dbscan = DBSCAN(eps=eps, min_samples=min_samples * len(points) // len(sample), algorithm='brute')
        ids = torch.zeros(mask.shape, dtype=torch.int64)
        ids[mask] = torch.from_numpy(number_by_area(dbscan.fit(points.numpy()).labels_, codec.min_area))
        found.append(InstanceMap.from_ids(ids, torch.zeros(int(ids.max()))))
    return found


def number_by_area(labels: np.ndarray, min_area: int) -> np.ndarray:
    """(M,) labels of pixels in raster order, -1 none -> 1..K, the largest first, then the earliest; 0 none or too small."""
    values, first, inverse, areas = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    areas[values < 0] = 0
    order = np.lexsort([first, -areas])
    number = np.empty_like(order)
    number[order] = np.arange(1, len(order) + 1)
    return np.where(areas >= min_area, number, 0)[inverse]


def extrapolate(measurements: Sequence[Measurement], points: int) -> float:
    """Seconds that the baseline would take for more points, from its largest measurement and with the square of their number."""
    largest = max(measurements, key=lambda one: one.columns['points'])
    return largest.baseline_seconds * (points / largest.columns['points']) ** 2


def find_difference(found: Sequence[InstanceMap], expected: Sequence[InstanceMap], count: int) -> str | None:
    """What differs between two results or isn't as many instances as there are; None: nothing. Scores, if any, may differ by rounding."""
    for one, other in zip(found, expected, strict=True):
        if len(one) != count:
            return f'{len(one)} instances are found, so they have too few pixels for the codec; give fewer instances or more pixels'
        assert one.scores is not None
        same_scores = other.scores is None or torch.allclose(one.scores, other.scores, rtol=0, atol=1e-5)
        if not torch.equal(one.ids.cpu(), other.ids.cpu()) or not same_scores:
            return 'the decoder and the baseline give different instances, so their times say nothing'
    return None
