"""What the positional embedding is compared with: centroids as colours and as bins (Prisadnikov et al., Appendix C and Table 4)."""

import torch
from torch import Tensor

from ..registry import TASK_UTILS
from ..structures import InstanceMap
from .centroid_grid import CentroidGridCodec, Values, normalise


@TASK_UTILS.register_module()
class DirectCentroidCodec(CentroidGridCodec):
    """Direct regression: red = u and green = v of the centroid in [0, 1], blue = 1 in an instance; void is black.

    The affinity is y . colour - |colour|^2 / 2, so the nearest colour or void is chosen. Void is between 1 and sqrt(3) from a colour; the
    maximum of a distance is 1 (ours).

    Args:
        grid: (rows, columns) of the centroids that `decode` tells apart.
        kwargs: see `CentroidGridCodec`.
    """

    channels = {'centroid_rgb': 3}

    def __init__(self, grid: tuple[int, int] = (80, 80), **kwargs) -> None:
        super().__init__(grid, **kwargs)

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        place = ((normalise(instances) + 1) / 2).float()
        colours = torch.cat([place, torch.ones_like(place[:, :1])], dim=1)
        table = torch.cat([colours.new_zeros(1, 3), colours]).T
        return {'centroid_rgb': table[:, instances.ids.clamp(min=0).long()]}, self.weight(instances)

    def values(self, maps: dict[str, Tensor], image: int, pixel: Tensor) -> Values:
        colour = maps['centroid_rgb'][image].flatten(1).index_select(1, pixel).float()
        return colour[::2], colour[1:2]  # blue, the same for all cells, goes with red

    def affinity(self, values: Tensor, axis: int, index: Tensor | None = None) -> Tensor:
        num = self.grid[1 - axis]
        index = torch.arange(num, device=values.device) if index is None else index
        return self._term(values[:, None], axis, ((index + 0.5) / num)[:, None])

    def best(self, values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        num = self.grid[1 - axis]
        index = (values[0] * num).ceil().sub(1).clamp(0, num - 1).nan_to_num(0).long()
        return self._term(values, axis, (index + 0.5) / num), index

    def distance(self, values: Values, col: Tensor, row: Tensor) -> Tensor:
        (red, blue), (green,) = values
        rows, cols = self.grid
        missed = (red - (col + 0.5) / cols) ** 2 + (green - (row + 0.5) / rows) ** 2 + (blue - 1) ** 2
        return missed.sqrt().clamp(max=1)

    @staticmethod
    def _term(values: Tensor, axis: int, place: Tensor) -> Tensor:
        term = (values[0] - place / 2) * place
        return term if axis else term + values[1] - 0.5


@TASK_UTILS.register_module()
class BinnedCentroidCodec(CentroidGridCodec):
    """Cross-entropy: u and v are classes, each cell of the grid's columns and rows one, and void a class more at the end of both (ours).

    The maps that `decode` reads are logits; `encode` gives one-hot targets. The affinity is the log-odds of a cell against void. "The cross
    entropy loss has no concept of distance", so ours is 2 (1 - p) with p = sigmoid(affinity): 1, the maximum, where void is as likely.

    Args:
        bins: (rows, columns).
        kwargs: see `CentroidGridCodec`.
    """

    def __init__(self, bins: tuple[int, int] = (80, 80), **kwargs) -> None:
        super().__init__(bins, **kwargs)
        self.channels = {'u_bins': self.grid[1] + 1, 'v_bins': self.grid[0] + 1}

    def encode(self, instances: InstanceMap) -> tuple[dict[str, Tensor], Tensor]:
        """See `BaseCodec`. Memory: 4 bytes * (R + C + 2) * H * W."""
        ids = instances.ids.clamp(min=0).long()
        maps = {}
        for name, place, num in zip(self.channels, normalise(instances).T, reversed(self.grid), strict=True):
            cell = ((place + 1) / 2 * num).long().clamp(0, num - 1)
            table = torch.cat([cell.new_tensor([num]), cell])
            maps[name] = torch.zeros((num + 1, *ids.shape), device=ids.device).scatter_(0, table[ids][None], 1.0)
        return maps, self.weight(instances)

    def values(self, maps: dict[str, Tensor], image: int, pixel: Tensor) -> Values:
        across, down = (maps[name][image].flatten(1).index_select(1, pixel).float() for name in self.channels)
        return across, down

    def affinity(self, values: Tensor, axis: int, index: Tensor | None = None) -> Tensor:
        return (values[:-1] if index is None else values[index]) - values[-1]

    def distance(self, values: Values, col: Tensor, row: Tensor) -> Tensor:
        odds = torch.zeros_like(values[0][0])
        for logits, index in zip(values, (col, row), strict=True):
            odds += logits.gather(0, index[None])[0] - logits[-1]
        return (2 * torch.sigmoid(-odds)).clamp(max=1)
