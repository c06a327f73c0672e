"""Stand-ins for detectors, exact to the pixel."""

import numpy as np
import torch
from scipy import ndimage

from mmext_instseg.inference import TileGrid, stitch_tiles
from mmext_instseg.structures import InstanceMap


def cut(ids: torch.Tensor, labels: torch.Tensor, box) -> InstanceMap:
    """What of true instances lies in a tile, under numbers of the tile's own."""
    found = ids[box].unique()
    found = found[found > 0]
    part = torch.where(ids[box] > 0, torch.searchsorted(found, ids[box].contiguous()) + 1, 0)
    return InstanceMap.from_ids(part, labels[found - 1], torch.ones(len(found)))


def components(image: torch.Tensor, corners: bool = False) -> InstanceMap:
    """Connected components of a bool image; `corners` connect as well, or don't."""
    ids, count = ndimage.label(image.numpy(), np.ones((3, 3)) if corners else None)
    return InstanceMap.from_ids(torch.from_numpy(ids), torch.zeros(count), torch.ones(count))


def stitch(truth: torch.Tensor, tile, overlap, labels: torch.Tensor | None = None) -> InstanceMap:
    """Tiled result of the detector `cut`."""
    grid = TileGrid(tuple(truth.shape), tile, overlap)
    labels = torch.zeros(int(truth.max()), dtype=torch.int64) if labels is None else labels
    return stitch_tiles((cut(truth, labels, box) for box in grid.boxes()), grid)


def same_objects(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two id maps differ in their numbers only."""
    pairs = torch.stack([one.flatten().long(), other.flatten().long()]).unique(dim=1)
    first, second = (len(row.unique()) for row in pairs)
    return first == second == pairs.shape[1] and bool(((pairs[0] > 0) == (pairs[1] > 0)).all())
