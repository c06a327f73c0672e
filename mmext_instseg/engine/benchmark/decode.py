"""Decoding of DCME: the codec's tensor operations against a loop over instances."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ...codecs import DCMECodec
from ...ops import find_peaks, smooth_votes, vote_histogram
from ...structures import InstanceMap
from .measurement import Case

USUAL = 100  # instances where the size changes


def decode_cases(sizes: Sequence[tuple[int, int]], instances: Sequence[int], device: torch.device, seed: int = 0) -> Iterator[Case]:
    """Cases with all numbers of instances at the first size, then with `USUAL` at the other sizes.

    Args:
        sizes: (H, W) in pixels.
        instances: numbers K, made as `draw_blobs` does, so that about half of the pixels are foreground whatever K is. Vectors point to
            the centres of mass but for uniform noise within a pixel, as votes of a network are spread.
    """
    codec = DCMECodec(max_miss=0.5)
    chosen = [(sizes[0], count) for count in instances] + [(size, USUAL) for size in sizes[1:]]
    for (height, width), count in chosen:
        blobs = draw_blobs((height, width), count, seed)
        noise = torch.rand((2, height, width), generator=torch.Generator().manual_seed(seed)) * 2 - 1
        maps = {name: (value + noise)[None].to(device) for name, value in codec.encode(blobs)[0].items()}
        foreground = (blobs.ids > 0)[None].to(device)
        yield Case(
            dict(size=f'{height}x{width}', instances=count),
            height * width,
            partial(codec.decode, maps, foreground),
            partial(decode_by_loop, codec, maps, foreground),
            partial(find_difference, count=count),
        )


def draw_blobs(shape: tuple[int, int], count: int, seed: int = 0) -> InstanceMap:
    """An ellipse in each of `count` cells of a grid, about half as large as its cell and off its middle by chance.

    Args:
        shape: (H, W) in pixels.
    """
    height, width = shape
    rows = min(max(round(math.sqrt(count * height / width)), 1), count)
    cols = math.ceil(count / rows)
    generator = torch.Generator().manual_seed(seed)
    middle = 0.5 + 0.2 * (torch.rand((2, rows, cols), generator=generator) - 0.5)  # in cells
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height * rows, (torch.arange(width) + 0.5) / width * cols, indexing='ij')
    row, col = y.long(), x.long()
    inside = (y - row - middle[0, row, col]) ** 2 + (x - col - middle[1, row, col]) ** 2 < 0.4**2
    number = row * cols + col + 1
    return InstanceMap.from_ids(torch.where(inside & (number <= count), number, 0), torch.zeros(count))


def decode_by_loop(codec: DCMECodec, maps: dict[str, Tensor], foreground: Tensor) -> list[InstanceMap]:
    """`DCMECodec.decode` as it is written with a loop: every instance looks at every foreground pixel. Same arguments, same result."""
    vectors = maps['displacement'].float() * codec.unit
    return [_loop_over_instances(codec, *image) for image in zip(vectors, foreground, strict=True)]


def _loop_over_instances(codec: DCMECodec, vectors: Tensor, foreground: Tensor) -> InstanceMap:
    """One image: (2, H, W) in pixels and (H, W) bool."""
    y, x = foreground.nonzero(as_tuple=True)
    votes = vectors[:, y, x].T + torch.stack([x, y], dim=1)
    histogram, cell = vote_histogram(votes, torch.zeros_like(y), (1, *foreground.shape), codec.cell, codec.join_radius)
    peaks = find_peaks(smooth_votes(histogram, codec.peak_radius), codec.peak_radius, codec.min_votes)[:, 1:].tolist()
    counted = cell < histogram.numel()
    cell_y, cell_x = cell // histogram.shape[2], cell % histogram.shape[2]
    home_y, home_x = (((position + 0.5) / codec.cell).floor().long() + codec.join_radius for position in (y, x))
    nearest = torch.full_like(cell, codec.join_radius**2 + 1)
    owner = torch.zeros_like(cell)
    for number, (peak_y, peak_x) in enumerate(peaks, start=1):
        distance = (cell_y - peak_y) ** 2 + (cell_x - peak_x) ** 2
        nearer = counted & (distance < nearest)
        nearest = torch.where(nearer, distance, nearest)
        owner = torch.where(nearer, number, owner)
    ids, scores = torch.zeros_like(foreground, dtype=torch.int32), []
    for number, (peak_y, peak_x) in enumerate(peaks, start=1):
        mine = owner == number
        missed = torch.maximum((cell_y - peak_y).abs(), (cell_x - peak_x).abs())
        if codec.max_miss is not None:
            away = torch.maximum((home_y - peak_y).abs(), (home_x - peak_x).abs())
            mine &= missed <= (codec.max_miss * away).clamp(min=codec.peak_radius)
        area = mine.sum()
        if area < codec.min_area:
            continue
        scores.append((mine & (missed <= codec.peak_radius)).sum().float() / area)
        ids[y[mine], x[mine]] = len(scores)
    return InstanceMap.from_ids(ids, ids.new_zeros(len(scores)), torch.stack(scores) if scores else vectors.new_zeros(0))


def find_difference(found: Sequence[InstanceMap], expected: Sequence[InstanceMap], count: int) -> str | None:
    """What differs between two results or isn't as many instances as there are; None: nothing."""
    for one, other in zip(found, expected, strict=True):
        for name in ('ids', 'labels', 'areas', 'centroids', 'boxes', 'scores'):
            if not torch.equal(getattr(one, name), getattr(other, name)):
                return f'the decoder and the loop give different {name}, so their times say nothing'
        if len(one) != count:
            return f'{len(one)} instances are found, so their size is too small for the codec; give fewer instances or more pixels'
    return None
