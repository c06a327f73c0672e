"""Discriminative embeddings: pixels of one object lie close together, those of two far apart (Vinokurov, Sections 5 and 6).

Shapes: (H, W) map size, d dims, M foreground pixels of an image, K instances.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import adaptive_parameters, dbscan_cores, nearest_core, sample_by_value, segment_sum
from ..registry import TASK_UTILS
from ..structures import InstanceMap
from .base import BaseCodec, Extents, pixel_weight

_ROUNDS = 4
_BLOCK = 4
_FINE = 2.0**20  # steps that a distance of 1 has in the sum of a score, which is one of whole numbers: the same in any order


@TASK_UTILS.register_module()
class EmbeddingCodec(BaseCodec):
    """Embeddings and their clustering by DBSCAN, adaptive and bounded (Sections 6.2 and 6.5; what these leave open is ours).

    1. *Border pixels* are those that differ from a neighbour (of four, in the foreground) by more than twice the median of such changes
       in the image: transitions between two objects. They take no part in clustering (Section 6.5).
    2. Of the other foreground pixels at most `sample_size` are clustered by DBSCAN (`ops.dbscan_cores`); `ops.adaptive_parameters` finds
       eps, between 0.8 delta_var and, strictly below, delta_dist - 2 delta_var, the gap between the clusters of a trained network, and
       min_samples.
    3. A pixel joins the cluster of its nearest core within eps, else it is noise.
    4. 2 and 3 are repeated for what is further than the highest eps from all cores, with the same eps and a min_samples of at most
       `min_area`, up to four times in all: objects too small for the first sample or its min_samples. What is nearer lies between
       objects. Border pixels further than delta_dist - delta_var from all cores, as far as another object's pixels are, are no transitions
       and take part then.
    5. The other border pixels join the cluster of their nearest core within the highest eps.
    6. Clusters below `min_area` pixels are noise. The rest is numbered by area, the largest first, then in raster order.

    Nothing is standardised, which would change the gap. Embeddings that aren't finite or exceed 10^15 are noise. The result depends on
    which pixels are neighbours, not on their order: a flipped image has the same instances.

    Score: compactness = 1 - mean distance of an instance's pixels to the mean of its cores / (delta_dist / 2), at least 0. Half of the
    distance that two means keep is where a pixel might as well be another's.

    `decode(encode(x)) == x` for instances of at least `min_area` pixels where all pixels fit the sample, and mostly far beyond. Objects
    whose pixels are nearer to each other than the loss promises, within the highest eps, merge or lose the smaller one. Of a GPU only a
    few numbers are read. Time of an image: H W d, M (K / 16 + 128) d, n^2 d for the sample of n; K hardly shows up to hundreds. Memory: 16
    bytes * d M, 60 bytes * H W, 4 bytes * d H W for maps of half precision, at most 12 bytes * n^2, and what `ops.nearest_core` takes.

    Args:
        dims: d.
        delta_var, delta_dist: of the loss.
        sample_size: n.
        min_area: m_min, smallest instance in pixels.
        eps, min_samples: fixed values in place of the adaptive ones.

    Raises:
        ValueError: an argument that is none of these; delta_dist <= 2 delta_var without `eps`.
    """

    #: How pixels find their core; see `ops.nearest_core`.
    search = staticmethod(nearest_core)

    def __init__(
        self,
        dims: int = 32,
        delta_var: float = 0.5,
        delta_dist: float = 2.0,
        sample_size: int = 4096,
        min_area: int = 16,
        eps: float | None = None,
        min_samples: int | None = None,
    ) -> None:
        for name, value in (('dims', dims), ('sample_size', sample_size), ('min_area', min_area), ('min_samples', min_samples)):
            if not ((isinstance(value, int) and value > 0) or (name == 'min_samples' and value is None)):
                raise ValueError(f'EmbeddingCodec: {name} must be a whole number above 0, not {value!r}')
        for name, size in (('delta_var', delta_var), ('delta_dist', delta_dist), ('eps', eps)):
            if not (name == 'eps' and size is None) and not (isinstance(size, int | float) and size > 0):
                raise ValueError(f'EmbeddingCodec: {name} must be above 0, not {size!r}')
        if eps is None and delta_dist <= 2 * delta_var:
            raise ValueError(
                f'EmbeddingCodec: with delta_var={delta_var} and delta_dist={delta_dist} clusters may touch, so nothing bounds eps; '
                'make delta_dist larger than 2 * delta_var or give eps'
            )
        self.channels = {'embedding': dims}
        self.dims = dims
        self.delta_dist = delta_dist
        self.delta_var = delta_var
        self.sample_size = sample_size
        self.min_area = min_area
        self.eps = eps
        self.min_samples = min_samples
        #: Highest and lowest eps.
        self.limit = max(0.99 * (delta_dist - 2 * delta_var), eps or 0.0)
        self.lowest = min(0.8 * delta_var, self.limit)

    @classmethod
    def arguments_at(cls, stride: int) -> dict:
        return dict(min_area=max(16 // stride**2, 1))

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        """Ideal embeddings, for tests and ceilings: points of a cubic lattice, at least 2 delta_dist apart; 0, another one, elsewhere.

        The weight is 1 on instances and 0 elsewhere: the losses look at the pixels of instances.
        """
        base = 2
        while base**self.dims <= len(instances):
            base += 1
        digits, rest = [], torch.arange(len(instances) + 1, device=instances.device)
        for _ in range(self.dims):
            digits.append(rest % base)
            rest = rest // base
        table = 2 * self.delta_dist * torch.stack(digits).float()
        embedding = table[:, instances.ids.clamp(min=0).long()]
        return {'embedding': embedding}, pixel_weight(instances, background=0.0)

    @torch.no_grad()
    def decode(self, maps: dict[str, Tensor], foreground: Tensor | None = None, extents: Extents = None) -> list[InstanceMap]:
        embeddings = maps['embedding']
        if foreground is None:
            foreground = torch.ones_like(embeddings[:, 0], dtype=torch.bool)
        with torch.autocast(embeddings.device.type, enabled=False):
            return [self._decode_image(one.float(), mask) for one, mask in zip(embeddings, foreground, strict=True)]

    def _decode_image(self, embedding: Tensor, foreground: Tensor) -> InstanceMap:
        """One image: (d, H, W) float32 and (H, W) bool."""
        pixel = block_pixels(foreground)
        points = embedding.flatten(1).index_select(1, pixel).T.contiguous()
        border = border_pixels(embedding, foreground).flatten()[pixel]
        valid = torch.linalg.vector_norm(points, dim=1) <= 1e15  # false for NaN and infinity
        if not valid.all():
            pixel, points, border = pixel[valid], points[valid], border[valid]
        owner, distance, count = self._cluster(points, border)
        joined = (owner >= 0).nonzero()[:, 0]
        pixel, owner, distance = pixel[joined], owner[joined], distance[joined]
        areas = segment_sum(torch.ones_like(owner), owner, count)
        missed = segment_sum((distance * _FINE).long(), owner, count).double() / _FINE
        score = (1 - missed / areas.clamp(min=1) / (self.delta_dist / 2)).clamp(min=0).float()
        first = pixel.new_zeros(count).scatter_reduce_(0, owner, pixel, 'amin', include_self=False)
        order = first.argsort()
        order = order[areas[order].argsort(descending=True, stable=True)]
        order = order[areas[order] >= self.min_area]
        number = owner.new_zeros(count, dtype=torch.int32)
        number[order] = torch.arange(1, len(order) + 1, dtype=torch.int32, device=order.device)
        ids = foreground.new_zeros(foreground.shape, dtype=torch.int32)  # contiguous, whatever the foreground is
        ids.view(-1)[pixel] = number[owner]
        return InstanceMap.from_ids(ids, torch.zeros_like(order), score[order])

    def _cluster(self, points: Tensor, border: Tensor) -> tuple[Tensor, Tensor, int]:
        """Clusters of the points (M, d) of an image, overwritten; those in `border` (M,) bool are no cores.

        Returns:
            cluster (M,) int64, -1 for noise; (M,) float32 distance to the mean of its cores; how many clusters there are.
        """
        owner = torch.full_like(border, -1, dtype=torch.int64)
        hidden, between = border.clone(), torch.zeros_like(border)
        nearest, distance = owner.clone(), torch.full_like(points[:, 0], torch.inf)  # of the clusters so far
        cores, cluster, middle = points[:0], owner[:0], None
        late = owner[:0]
        eps, count = self.eps, 0
        for number in range(_ROUNDS):
            rest = ((owner < 0) & ~hidden & ~between).nonzero()[:, 0]
            if not len(rest):
                break
            sample = points[rest[sample_by_value(points.index_select(0, rest), self.sample_size)]]
            if middle is None:  # distances by matrix products are exact near 0 only
                middle = sample.median(dim=0).values
                points, sample = points.sub_(middle), sample - middle
            eps, min_samples = adaptive_parameters(sample, self.lowest, self.limit, eps)
            if number:
                min_samples = min(min_samples, self.min_area)
            rows, found = dbscan_cores(sample, eps, self.min_samples or min_samples)
            if not len(rows) and number:
                break
            new, first = sample[rows], count
            cores, cluster = torch.cat([cores, new]), torch.cat([cluster, found + first])
            count = int(cluster[-1]) + 1 if len(cluster) else 0
            todo = (owner < 0).nonzero()[:, 0]
            waits = hidden[todo]
            radius = torch.where(waits, max(self.delta_dist - self.delta_var, self.limit), self.limit)
            by, far = self.search(points.index_select(0, todo), new, found, count - first, radius, torch.where(waits, 0.0, eps))
            nearer = far < distance[todo]
            nearest[todo[nearer]], distance[todo[nearer]] = torch.where(by < 0, by, by + first)[nearer], far[nearer]
            near = distance[todo]
            owner[todo] = torch.where((near <= eps) & ~waits, nearest[todo], -1)
            freed = waits & (near > self.delta_dist - self.delta_var)
            hidden[todo[freed]] = False
            between[todo] = near <= self.limit
            late = todo[waits & ~freed & (near <= self.limit)]
        owner[late] = nearest[late]
        sizes = segment_sum(torch.ones_like(cluster), cluster, count)
        means = (segment_sum(cores.double(), cluster, count) / sizes[:, None]).float()  # a GPU adds in any order: rounding hides it
        if count:
            points.sub_(means.index_select(0, owner.clamp(min=0)))
        return owner, torch.linalg.vector_norm(points, dim=1), count


def block_pixels(mask: Tensor) -> Tensor:
    """(H, W) bool -> (M,) int64 the true pixels, y * W + x, of one block of 4x4 after the other: most neighbours stay together.

    `ops.nearest_core` looks at what lies beside a point.
    """
    height, width = mask.shape
    blocks = F.pad(mask, (0, -width % _BLOCK, 0, -height % _BLOCK)).unflatten(0, (-1, _BLOCK)).unflatten(2, (-1, _BLOCK))
    across, along, y, x = blocks.permute(0, 2, 1, 3).nonzero().unbind(dim=1)
    return (_BLOCK * across + y) * width + _BLOCK * along + x


def border_pixels(embedding: Tensor, foreground: Tensor) -> Tensor:
    """Pixels that differ from one of their four neighbours by more than twice the median of the image (ours; Section 6.5).

    Only neighbours in the foreground count; at most half of the foreground is border.

    Args:
        embedding: (d, H, W) float32; what isn't finite differs from nothing.
        foreground: (H, W) bool.

    Returns:
        (H, W) bool. Memory: 20 bytes * H * W.
    """
    change = torch.zeros_like(foreground, dtype=torch.float32)
    for axis in (0, 1):
        length = foreground.shape[axis] - 1
        before, after = (foreground.narrow(axis, start, length) for start in (0, 1))
        step = torch.zeros_like(before, dtype=torch.float32)
        for channel in embedding:  # one at a time stays in a CPU's cache
            difference = channel.narrow(axis, 1, length) - channel.narrow(axis, 0, length)
            step.addcmul_(difference, difference)
        step = torch.where(before & after & step.isfinite(), step, 0.0)
        for start in (0, 1):
            side = change.narrow(axis, start, length)
            torch.maximum(side, step, out=side)
    inside = change[foreground]
    return foreground & (change > 4 * inside.median()) if len(inside) else foreground  # squares
