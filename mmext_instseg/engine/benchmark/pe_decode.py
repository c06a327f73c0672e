"""Decoding of PE-centroid: the codec against a search of the whole grid, and against a loop over instances."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ...codecs import PECentroidCodec
from ...ops import find_peaks, matrix_nms, smooth_votes
from ...structures import InstanceMap
from .decode import draw_blobs
from .measurement import Case

_AT_ONCE = 2**22  # affinities of the brute force; less or more is slower


class BruteForceCodec(PECentroidCodec):
    """The same codec, but that every pixel is compared with the whole code of every cell."""

    def choose(self, maps: dict[str, Tensor], image: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
        rows, cols = self.grid
        across, down = (self.cell_codes(num, pixel.device) for num in (cols, rows))
        codes = torch.cat([across.repeat(rows, 1), down.repeat_interleave(cols, 0)], dim=1).T.contiguous()
        void = len(maps['centroid_code']) * rows * cols
        cell, distance = torch.empty_like(pixel), torch.empty_like(pixel, dtype=torch.float32)
        for number, part, values in self.parts(maps, image, pixel, -(-_AT_ONCE // (rows * cols))):
            best = (torch.cat(values).T @ codes).max(dim=1)
            cell[part] = torch.where(best.values >= self.void_affinity, number * rows * cols + best.indices, void)
            distance[part] = self.distance(values, best.indices % cols, best.indices // cols)
        return cell, distance


def pe_decode_cases(
    settings: Sequence[tuple[tuple[int, int], tuple[int, int]]], instances: Sequence[int], device: torch.device, seed: int = 0
) -> Iterator[tuple[str, Case]]:
    """(name of the baseline, case) of every setting and number of instances.

    Baselines: 'brute force' compares every pixel with the whole grid, the rest is the codec's; 'loop', the decoder written out, does so too
    and takes candidates and instances one by one; 'loop after our search' is the same after the codec's search of columns and rows.

    Args:
        settings: ((H, W) of the maps, (rows, columns) of the grid).
        instances: numbers K, made as `draw_blobs` does, so that about half of the pixels are foreground whatever K is. Codes have
            Gaussian noise of 0.1 in every channel, as those of a network are no grid points.
    """
    for shape, grid in settings:
        codec, brute = (kind(grid=grid, min_pixels=10) for kind in (PECentroidCodec, BruteForceCodec))
        for count in instances:
            blobs = draw_blobs(shape, count, seed)
            code = codec.encode(blobs)[0]['centroid_code']
            noise = torch.randn(code.shape, generator=torch.Generator().manual_seed(seed))
            maps = {'centroid_code': (code + 0.1 * noise)[None].to(device)}
            foreground = (blobs.ids > 0)[None].to(device)
            columns = dict(size='{}x{}'.format(*shape), grid='{}x{}'.format(*grid), instances=count)
            ours = partial(codec.decode, maps, foreground)
            loop, half = (partial(decode_pe_by_loop, one) for one in (brute, codec))
            for name, other in (('brute force', brute.decode), ('loop', loop), ('loop after our search', half)):
                baseline = partial(other, maps, foreground)
                yield name, Case(columns, foreground[0].numel(), ours, baseline, partial(find_score_difference, name=name, count=count))


def decode_pe_by_loop(codec: PECentroidCodec, maps: dict[str, Tensor], foreground: Tensor) -> list[InstanceMap]:
    """`PECentroidCodec.decode` as it is written with a loop: every candidate and every instance looks at every foreground pixel.

    Cells are chosen as the codec does. Same arguments; the same result but for the rounding of scores.
    """
    codes = codec.absolute(maps)['centroid_code']
    return [_loop(codec, {'centroid_code': code[None]}, mask) for code, mask in zip(codes, foreground, strict=True)]


def _loop(codec: PECentroidCodec, maps: dict[str, Tensor], foreground: Tensor) -> InstanceMap:
    """One image: (1, 4 L, H, W) and (H, W) bool."""
    pixel = foreground.flatten().nonzero()[:, 0]
    values = codec.values(maps, 0, pixel)
    cell, distance = codec.choose(maps, torch.zeros_like(pixel), pixel)
    survivors = _loop_over_candidates(codec, cell, distance)
    owner = torch.zeros_like(cell)
    nearest = torch.nextafter(torch.full_like(distance, codec.void_affinity), distance.new_tensor(-torch.inf))
    for number, (row, col, _) in enumerate(survivors, start=1):
        at = [torch.tensor([index], device=cell.device) for index in (col, row)]
        affinity = sum(codec.affinity(value, axis, at[axis])[0] for axis, value in enumerate(values))
        apart = (cell // codec.grid[1] - row) ** 2 + (cell % codec.grid[1] - col) ** 2
        affinity = torch.where(apart <= codec.near_radius**2, 1e6 - apart, affinity)  # a cell near by goes before any affinity
        nearer = (affinity > nearest) & (cell < codec.grid[0] * codec.grid[1])
        nearest, owner = torch.where(nearer, affinity, nearest), torch.where(nearer, number, owner)
    groups = []
    for number, (row, col, factor) in enumerate(survivors, start=1):
        mine = owner == number
        area = int(mine.sum())
        if area >= codec.min_pixels:
            at = [torch.full((area,), index, device=cell.device) for index in (col, row)]
            missed = codec.distance((values[0][:, mine], values[1][:, mine]), *at).mean()
            groups.append((float((1 - missed) * factor), number, pixel[mine]))
    best = sorted(sorted(groups, key=lambda one: -one[0])[: codec.max_instances], key=lambda one: one[1])
    ids = torch.zeros(foreground.shape, dtype=torch.int32, device=cell.device)
    for number, (_, _, pixels) in enumerate(best, start=1):
        ids.view(-1)[pixels] = number
    return InstanceMap.from_ids(ids, ids.new_zeros(len(best)), distance.new_tensor([score for score, _, _ in best]))


def _loop_over_candidates(codec: PECentroidCodec, cell: Tensor, distance: Tensor) -> list[tuple[int, int, float]]:
    """(row, column, factor of NMS) of the survivors of one image."""
    rows, cols = codec.grid
    votes = torch.bincount(cell, minlength=rows * cols + 1)[:-1].view(1, rows, cols)
    peaks = find_peaks(smooth_votes(votes, codec.peak_radius), codec.peak_radius, codec.min_pixels)[:, 1:].tolist()
    if not peaks:
        return []
    masks, scores = [], []
    for row, col in peaks:
        near = (cell // cols - row) ** 2 + (cell % cols - col) ** 2 <= codec.near_radius**2
        masks.append(near & (cell < rows * cols))
        scores.append(1 - distance[masks[-1]].double().sum() / masks[-1].sum().clamp(min=1))
    # The factors depend on the order of the scores alone, and 0 would hide them
    score = 1 / (2.0 + torch.stack(scores).argsort(descending=True, stable=True).argsort())
    decayed = matrix_nms(torch.stack(masks)[:, None], torch.zeros_like(score, dtype=torch.int64), score)
    found = [(*peak, factor) for peak, factor in zip(peaks, (decayed / score).tolist(), strict=True)]
    return [one for one in found if one[2] >= codec.nms_threshold]


def find_score_difference(found: Sequence[InstanceMap], expected: Sequence[InstanceMap], name: str, count: int) -> str | None:
    """What differs between two results or isn't as many instances as there are; None: nothing. Scores may differ by rounding."""
    for one, other in zip(found, expected, strict=True):
        if len(one) != count:
            return f'{len(one)} instances are found, so the grid is too coarse or too fine for them; give fewer instances or another grid'
        assert one.scores is not None and other.scores is not None
        if not torch.equal(one.ids, other.ids) or not torch.allclose(one.scores, other.scores, rtol=0, atol=1e-5):
            return f'the decoder and the {name} give different instances, so their times say nothing'
    return None
