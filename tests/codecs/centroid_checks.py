"""What holds for every codec that names centroids on a grid."""

import torch
from hypothesis import strategies as st
from test_dcme import partition

from mmext_instseg.codecs import CentroidGridCodec
from mmext_instseg.ops import segment_mean
from mmext_instseg.structures import InstanceMap

SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 60))
WINDOWS = st.sampled_from(
    [dict(peak_radius=0, near_radius=1), dict(), dict(peak_radius=1, near_radius=3), dict(peak_radius=2, near_radius=1)]
)


def ideal(codec: CentroidGridCodec, *scenes: InstanceMap) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Batched maps and foreground."""
    encoded = [codec.encode(one)[0] for one in scenes]
    return {name: torch.stack([one[name] for one in encoded]) for name in codec.channels}, torch.stack([one.ids > 0 for one in scenes])


def chosen_cells(codec: CentroidGridCodec, maps: dict[str, torch.Tensor], foreground: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(M,) cells and distances of the foreground of one image."""
    pixel = foreground.flatten().nonzero()[:, 0]
    return codec.choose(codec.absolute(maps), torch.zeros_like(pixel), pixel)


def check_round_trip(codec: CentroidGridCodec, instances: InstanceMap) -> bool:
    """decode(encode(x)) == x where cells are apart, else objects merge or are lost, but none is split; whether they are apart."""
    maps, weight = codec.encode(instances)
    assert {name: one.shape[0] for name, one in maps.items()} == codec.channels
    assert all(one.dtype == torch.float32 and one.shape[1:] == instances.shape for one in maps.values())
    assert torch.equal(weight, torch.where(instances.ids < 0, 0.0, 1.0))
    maps, foreground = ideal(codec, instances)
    (decoded,) = codec.decode(maps, foreground)
    cell, distance = chosen_cells(codec, maps, foreground)
    assert (cell < codec.grid[0] * codec.grid[1]).all(), 'an ideal code is never nearest to void'
    owner = instances.ids[instances.ids > 0]
    place = torch.stack([cell // codec.grid[1], cell % codec.grid[1]], dim=1)
    pairs = torch.cat([owner[:, None], place], dim=1).unique(dim=0)
    near = torch.cdist(pairs[:, 1:].float(), pairs[:, 1:].float(), p=torch.inf) <= max(2 * codec.peak_radius, codec.near_radius)
    apart = not (near & (pairs[:, :1] != pairs[:, 0])).any()
    truth, found = partition(instances.ids), partition(decoded.ids)
    if apart:
        assert found == truth
        if len(pairs) == len(truth):  # no centroid so near to the border of a cell that rounding puts its pixels on both sides
            missed = segment_mean(distance, decoded.ids[instances.ids > 0].long() - 1, len(truth))
            torch.testing.assert_close(decoded.scores, 1 - missed)
    flat = decoded.ids.flatten()
    owners = {one: {int(k) for k in flat[list(one)].unique()} for one in truth}
    assert all(len(numbers) == 1 for numbers in owners.values())
    assert found == {frozenset().union(*(one for one in truth if owners[one] == {k})) for k in range(1, len(decoded) + 1)}
    return apart


def squares(rows: int, cols: int, side: int, gap: int = 0) -> InstanceMap:
    """rows * cols squares, `gap` pixels between them."""
    step = side + gap
    y, x = torch.meshgrid(torch.arange(rows * step), torch.arange(cols * step), indexing='ij')
    ids = torch.where((y % step < side) & (x % step < side), (y // step) * cols + x // step + 1, 0)
    return InstanceMap.from_ids(ids, torch.zeros(rows * cols))
