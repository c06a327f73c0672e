"""Vote histograms and their peaks: where many pixels agree on one point.

Shapes: B images, (Y, X) histogram cells, M votes, P peaks. All sizes but P are known on the host.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .segments import segment_sum

_CHUNK = 2**21  # cells written at a time


def vote_histogram(votes: Tensor, batch: Tensor, shape: tuple[int, int, int], cell: float = 1.0, margin: int = 0) -> tuple[Tensor, Tensor]:
    """Counts votes in square cells.

    Args:
        votes: (M, 2) float (x, y) positions in pixel indices; cell 0 is centred on index (cell - 1) / 2.
        batch: (M,) integers, the image of each vote.
        shape: (B, H, W) of the map that the votes point into.
        cell: side of a cell in pixels.
        margin: cells added around the map for votes that fall outside it; votes beyond are not counted.

    Returns:
        histogram (B, Y, X) int64 with Y = ceil(H / cell) + 2 * margin;
        index (M,) int64: the flat cell of each vote, B * Y * X for one that is not counted.
    """
    num, height, width = shape
    rows, cols = (-int(-size // cell) + 2 * margin for size in (height, width))
    x, y = (torch.floor((votes[:, axis] + 0.5) / cell).clamp(-1e6, 1e6).long() + margin for axis in (0, 1))
    inside = (x >= 0) & (x < cols) & (y >= 0) & (y < rows)
    outside = num * rows * cols
    index = torch.where(inside, (batch.long() * rows + y) * cols + x, outside)
    counts = segment_sum(torch.ones_like(index), index, outside + 1)[:-1]
    return counts.view(num, rows, cols), index


def smooth_votes(histogram: Tensor, radius: int) -> Tensor:
    """Sums the votes around every cell, weighted by a Gaussian that is 1 in its centre and cut off at `radius` cells.

    The cut keeps peaks further apart than 2 * radius from touching each other at all. sigma = radius / 2 (ours).

    Args:
        histogram: (B, Y, X) counts.

    Returns:
        (B, Y, X) float32, at least the count itself.
    """
    counts = histogram.float()
    if radius == 0:
        return counts
    offsets = torch.arange(-radius, radius + 1, device=counts.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / (radius / 2)) ** 2)
    with torch.autocast(counts.device.type, enabled=False):  # half precision would round the counts
        rows = F.conv2d(counts[:, None], kernel.view(1, 1, -1, 1), padding=(radius, 0))
        return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, radius))[:, 0]


def find_peaks(heat: Tensor, radius: int, threshold: float) -> Tensor:
    """Cells that are the maximum of their (2 * radius + 1)^2 window; a plateau yields one peak, its last cell in raster order.

    Args:
        heat: (B, Y, X) float.
        threshold: smallest value of a peak.

    Returns:
        (P, 3) int64 (image, y, x) in raster order. Reads P back from the device.
    """
    window, height, width = 2 * radius + 1, *heat.shape[1:]
    is_top = (heat >= threshold) & (heat == F.max_pool2d(heat[:, None], window, 1, radius)[:, 0])
    # float32 counts exactly to 2^24
    dtype = torch.float32 if height * width < 2**24 else torch.float64
    order = torch.arange(1, height * width + 1, device=heat.device, dtype=dtype).view(1, height, width) * is_top
    return (is_top & (order == F.max_pool2d(order[:, None], window, 1, radius)[:, 0])).nonzero()


def nearest_peak(peaks: Tensor, shape: torch.Size | tuple[int, int, int], radius: int) -> Tensor:
    """The nearest peak of every cell: each peak writes its number into the disc around it, the smallest distance wins.

    Time P * pi * radius^2 + B * Y * X, memory 8 bytes * B * Y * X and about 100 MB more at the most; no cells x peaks matrix.

    Args:
        peaks: (P, 3) int64 (image, y, x).
        shape: (B, Y, X).
        radius: in cells; beyond it a cell has no peak.

    Returns:
        (B, Y, X) int64: 0 none, 1..P the peak's row + 1; the earlier row on a tie.
    """
    num, height, width = shape
    span = torch.arange(-radius, radius + 1, device=peaks.device)
    dy, dx = (grid.flatten() for grid in torch.meshgrid(span, span, indexing='ij'))
    near = dy**2 + dx**2 <= radius**2
    dy, dx = dy[near], dx[near]
    total, count = num * height * width, peaks.shape[0]
    # One integer holds distance and row, so that a single minimum settles both.
    best = peaks.new_full((total + 1,), (radius**2 + 1) * (count + 1))
    step = max(_CHUNK // len(dy), 1)
    for start in range(0, count, step):
        chunk = peaks[start : start + step]
        y, x = chunk[:, 1:2] + dy, chunk[:, 2:3] + dx
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        cell = torch.where(inside, (chunk[:, :1] * height + y) * width + x, total)
        key = (dy**2 + dx**2) * (count + 1) + torch.arange(start + 1, start + 1 + len(chunk), device=peaks.device)[:, None]
        best.scatter_reduce_(0, cell.flatten(), key.flatten(), 'amin')
    return (best[:-1] % (count + 1)).view(shape)
