"""PE-centroid: each pixel holds the sine-cosine code of its object's centroid (Prisadnikov et al., Section 3.3.1)."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..registry import TASK_UTILS
from ..structures import InstanceMap
from .base import Extents
from .centroid_grid import CentroidGridCodec, Values, cell_centres, normalise


def positional_code(points: Tensor, harmonics: int) -> Tensor:
    """Eq. 3: gamma(p) = (sin 2^l pi p, cos 2^l pi p), l = 0 .. L - 1.

    Args:
        points: (n,) in [-1, 1]; gamma(-1) = gamma(1).
        harmonics: L.

    Returns:
        (n, 2 L) float32, computed in float64: sin and cos in turn. Every code has the norm sqrt(L).
    """
    angle = math.pi * 2.0 ** torch.arange(harmonics, device=points.device) * points.double()[:, None]
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).float()


def rotate_code(code: Tensor, by: Tensor) -> Tensor:
    """Turns gamma(p) into gamma(p + q), exactly, and leaves norms and void as they are.

    Args:
        code: (2 L, ...).
        by: gamma(q), (2 L, ...), broadcastable to `code`.
    """
    (sin, cos), (by_sin, by_cos) = ((one[::2], one[1::2]) for one in (code, by))
    return torch.stack([sin * by_cos + cos * by_sin, cos * by_cos - sin * by_sin], dim=1).flatten(0, 1)


@TASK_UTILS.register_module()
class PECentroidCodec(CentroidGridCodec):
    """Positional embedding of the centroid (u, v): concat(gamma(u), gamma(v)), 0 for void (Eqs. 2 and 3).

    u = 2 (x + 0.5) / W - 1 with the image's own W in the map, without padding, and the points of the grid are cell centres by the same
    formula (ours; the first and last of linspace(-1, 1) would share a code). Squared distance to a code is |y|^2 - 2 y . code + 2 L, to
    void |y|^2: so the affinity is y . code, and void's is L. The nearest cell is also the nearest by Eq. 4's sum of norms. The maximum of
    a distance is sqrt(2 L), that of void to every code.

    Args:
        harmonics: L.
        grid: (rows, columns); the paper's is (80, 80), for Cityscapes (160, 320).
        margin: m, u -> (1 - m) u, so that objects at opposite borders of the map differ (ours).
        relative: the maps hold gamma(centroid - pixel); `decode` adds the pixel's own angle. The same distances and thus the same loss,
            but maps that don't change when the image moves (ours). Memory: `decode` holds 16 L bytes * B * H * W more.
        kwargs: see `CentroidGridCodec`.

    Raises:
        ValueError: a grid so coarse that a centroid's own code can be nearer to void than to any cell: less than 8, 13 or 22 cells for
            L = 3, 4, 5.
    """

    def __init__(self, harmonics: int = 4, grid: tuple[int, int] = (80, 80), margin: float = 0.0, relative: bool = False, **kwargs) -> None:
        super().__init__(grid, **kwargs)
        if not (isinstance(harmonics, int) and harmonics > 0):
            raise ValueError(f'PECentroidCodec: harmonics must be a whole number above 0, not {harmonics!r}')
        if not 0 <= margin < 1:
            raise ValueError(f'PECentroidCodec: margin must be in [0, 1), not {margin!r}')
        least = fewest_cells(harmonics, margin)
        if min(self.grid) < least:
            raise ValueError(
                f'PECentroidCodec: grid {self.grid} is too coarse, some centroids would be nearer to void than to any cell; with harmonics='
                f'{harmonics} and margin={margin} it needs at least {least} rows and columns'
            )
        self.harmonics = harmonics
        self.margin = margin
        self.relative = relative
        self.void_affinity = float(harmonics)
        self.channels = {'centroid_code': 4 * harmonics}

    def code(self, points: Tensor) -> Tensor:
        """(n, 2 L) codes of (n,) coordinates in [-1, 1], the margin taken off."""
        return positional_code((1 - self.margin) * points, self.harmonics)

    def table(self, instances: InstanceMap) -> Tensor:
        """(K, 4 L) codes of the instances' centroids, u's half first."""
        return torch.cat([self.code(points) for points in normalise(instances).T], dim=1)

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        ids = instances.ids.clamp(min=0).flatten().long()
        code = F.pad(self.table(instances), (0, 0, 1, 0)).T.index_select(1, ids).view(-1, *instances.shape)
        return {'centroid_code': self._turn(code, -1, instances.extent)}, self.weight(instances)

    def absolute(self, maps: dict[str, Tensor], extents: Extents = None) -> dict[str, Tensor]:
        if not self.relative:
            return maps
        codes = maps['centroid_code'].float()
        height, width = codes.shape[-2:]
        turned = [self._turn(code, 1, extent) for code, extent in zip(codes, extents or [(height, width)] * len(codes), strict=True)]
        return {**maps, 'centroid_code': torch.stack(turned)}

    def _turn(self, code: Tensor, sign: int, extent: tuple[float, float] | None) -> Tensor:
        """From the pixel's place (1) or to it (-1) where the maps are relative: (4 L, H, W) -> the same."""
        if not self.relative:
            return code
        height, width = code.shape[1:]
        inner_height, inner_width = extent or (height, width)
        across = self.code(sign * cell_centres(width, code.device, inner_width)).T[:, None]
        down = self.code(sign * cell_centres(height, code.device, inner_height)).T[..., None]
        return torch.cat([rotate_code(half, by) for half, by in zip(code.chunk(2), (across, down), strict=True)])

    def values(self, maps: dict[str, Tensor], image: int, pixel: Tensor) -> Values:
        across, down = maps['centroid_code'][image].flatten(1).index_select(1, pixel).float().chunk(2)
        return across, down

    def affinity(self, values: Tensor, axis: int, index: Tensor | None = None) -> Tensor:
        codes = self.cell_codes(self.grid[1 - axis], values.device)
        return (codes if index is None else codes[index]) @ values

    def distance(self, values: Values, col: Tensor, row: Tensor) -> Tensor:
        missed = torch.zeros_like(values[0][0])
        for half, index, side in zip(values, (col, row), reversed(self.grid), strict=True):
            missed += (half - self.cell_codes(side, half.device).index_select(0, index).T).square_().sum(dim=0)
        return (missed / (2 * self.harmonics)).sqrt_().clamp_(max=1)

    def cell_codes(self, num: int, device: torch.device) -> Tensor:
        """(n, 2 L) codes of the middles of n cells."""
        return _cell_codes(num, self.harmonics, self.margin, device)


@lru_cache(maxsize=64)
def _cell_codes(num: int, harmonics: int, margin: float, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # kept for later, which may be training
        return positional_code((1 - margin) * cell_centres(num, device), harmonics)


def fewest_cells(harmonics: int, margin: float = 0.0) -> int:
    """Cells that each side of a grid needs: a centroid in the corner of a cell must not be nearer to void than to the cell."""
    num = 2 ** (harmonics - 1)
    while sum(math.cos(math.pi * 2**level * (1 - margin) / num) for level in range(harmonics)) < harmonics / 2:
        num += 1
    return num
