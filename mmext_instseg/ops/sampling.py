"""Bilinear and nearest sampling of maps and of ids, of the whole map or of its part without padding.

Shapes: (h, w) size of the map, (H, W) size of the output, (a, b) the part of the map's height and width, from the top left, that the
output shows, each in (0, 1]. Output pixel (i, j) looks at the map at ((i + 1/2) * a * h / H - 1/2, (j + 1/2) * b * w / W - 1/2), as
`align_corners=False` does, held within that part.
"""

import torch
from torch import Tensor


def sample_bilinear(values: Tensor, shape: tuple[int, int], part: tuple[float, float] = (1, 1)) -> Tensor:
    """Bilinear interpolation in float32; the same tensor where nothing changes.

    Args:
        values: (..., h, w).
        shape: (H, W).
        part: (a, b); (1, 1) is the whole map.

    Returns:
        (..., H, W) float32. Memory: 4 bytes * channels * (2 h W + 3 H W).
    """
    if _unchanged(values, shape, part):
        return values.float()
    values = values.float()
    low, high, share = _neighbours(values, 1, shape, part)
    values = torch.lerp(values[..., low], values[..., high], share)
    low, high, share = _neighbours(values, 0, shape, part)
    return torch.lerp(values[..., low, :], values[..., high, :], share[:, None])


def sample_nearest(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """The values at the centres of another grid, at any ratio: (..., h, w) -> (..., H, W) of the same dtype.

    floor((i + 1/2) h / H) in integers, so exact where torch's and OpenCV's nearest neighbours round.
    """
    if tuple(values.shape[-2:]) == tuple(shape):
        return values
    rows, cols = (
        (2 * torch.arange(new, device=values.device) + 1) * old // (2 * new) for new, old in zip(shape, values.shape[-2:], strict=True)
    )
    return values[..., rows[:, None], cols]


def sample_ids(ids: Tensor, shape: tuple[int, int], part: tuple[float, float] = (1, 1), foreground: Tensor | None = None) -> Tensor:
    """Ids at another size with smooth borders: each pixel takes, of its four bilinear neighbours, the object with the most weight.

    Interpolated one-hot masks and their maximum come to the same, at K times the memory. Nothing of what was decoded is mixed:
    interpolated vectors, codes or centres across a border would point between the objects.

    Args:
        ids: (h, w) int32, objects above 0.
        shape, part: as `sample_bilinear`.
        foreground: (H, W) bool, where an object may be; None: where objects have more than half of the weight.

    Returns:
        (H, W) int32, 0 where there is no object; on a tie the upper left neighbour's. Memory: about 40 bytes * H * W.
    """
    if _unchanged(ids, shape, part):
        return ids.clamp(min=0) if foreground is None else torch.where(foreground, ids.clamp(min=0), 0)
    (top, bottom, down), (left, right, across) = (_neighbours(ids, axis, shape, part) for axis in (0, 1))
    corners, weights = [], []
    for rows, vertical in ((top, 1 - down), (bottom, down)):
        for cols, horizontal in ((left, 1 - across), (right, across)):
            corners.append(ids[rows[:, None], cols])
            weights.append(vertical[:, None] * horizontal)
    best = torch.zeros_like(corners[0])
    most = torch.zeros_like(weights[0])
    total = torch.zeros_like(most)
    for corner, weight in zip(corners, weights, strict=True):
        share = sum((torch.where(corner == other, one, 0.0) for other, one in zip(corners, weights, strict=True)), torch.zeros_like(most))
        better = (corner > 0) & (share > most)
        best, most = torch.where(better, corner, best), torch.where(better, share, most)
        total += torch.where(corner > 0, weight, 0.0)
    return torch.where(total > 0.5 if foreground is None else foreground, best, 0)


def _unchanged(values: Tensor, shape: tuple[int, int], part: tuple[float, float]) -> bool:
    return tuple(values.shape[-2:]) == tuple(shape) and tuple(part) == (1, 1)


def _neighbours(values: Tensor, axis: int, shape: tuple[int, int], part: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the two neighbours along an axis (0 rows, 1 columns) and the share of the second, (H,) or (W,) each."""
    size, out = values.shape[axis - 2], shape[axis]
    shown = size * part[axis]
    position = (torch.arange(out, dtype=torch.float64, device=values.device) + 0.5) * (shown / out) - 0.5
    position = position.clamp(0, max(shown - 1, 0))
    low = position.floor().long().clamp(max=size - 1)
    return low, (low + 1).clamp(max=size - 1), (position - low).float()
