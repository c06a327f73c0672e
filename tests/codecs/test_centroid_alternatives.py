import pytest
import torch
from centroid_checks import SHAPES, WINDOWS, check_round_trip, chosen_cells, ideal, squares
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dcme import partition, voronoi

from mmext_instseg.codecs import BinnedCentroidCodec, CentroidGridCodec, DirectCentroidCodec
from mmext_instseg.structures import InstanceMap

BOTH = [DirectCentroidCodec, BinnedCentroidCodec]
EVERYWHERE = torch.ones(30, 41, dtype=torch.bool)


def test_direct_by_hand():
    instances = InstanceMap.from_ids(torch.tensor([[1, 1, 0, -1], [0, 0, 2, 2]]), torch.zeros(2))
    maps, weight = DirectCentroidCodec().encode(instances)
    colours = torch.tensor([[0.0, 0, 0], [0.25, 0.25, 1], [0.75, 0.75, 1]])  # black; centroids (0.5, 0) and (2.5, 1), plus 1/2, over (4, 2)
    torch.testing.assert_close(maps['centroid_rgb'].permute(1, 2, 0), colours[instances.ids.clamp(min=0).long()])
    assert weight.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_bins_by_hand():
    instances = InstanceMap.from_ids(torch.tensor([[1, 1, 0, -1], [0, 0, 2, 2]]), torch.zeros(2))
    maps, weight = BinnedCentroidCodec((2, 5), void='ignore').encode(instances)
    assert maps['u_bins'].shape == (6, 2, 4) and maps['v_bins'].shape == (3, 2, 4)
    assert all(torch.equal(one.sum(dim=0), torch.ones(2, 4)) and one.unique().tolist() == [0, 1] for one in maps.values())
    assert maps['u_bins'].argmax(dim=0).tolist() == [[1, 1, 5, 5], [5, 5, 3, 3]]  # 0.25 * 5 and 0.75 * 5; void last
    assert maps['v_bins'].argmax(dim=0).tolist() == [[0, 0, 2, 2], [2, 2, 1, 1]]
    assert weight.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), SHAPES, st.integers(0, 10), WINDOWS, st.sampled_from([(8, 11), (80, 80), (1, 33)]))
@pytest.mark.parametrize('kind', BOTH)
def test_round_trip(kind, seed, shape, num, windows, grid):
    check_round_trip(kind(grid, **windows), voronoi(seed, shape, num))


@pytest.mark.parametrize('kind', BOTH)
def test_many_instances_and_none(kind):
    many = squares(25, 24, 6, gap=1)
    assert check_round_trip(kind(max_instances=None), many)
    assert len(kind(max_instances=None).decode(*ideal(kind(), many))[0]) == 600
    assert len(kind().decode(*ideal(kind(), many))[0]) == 100
    assert check_round_trip(kind(), InstanceMap.from_ids(torch.zeros(7, 9), torch.zeros(0)))


def cell_middles(codec: CentroidGridCodec) -> torch.Tensor:
    rows, cols = codec.grid
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / cols, indexing='ij')
    return torch.stack([x, y], dim=2).flatten(0, 1).double()


@pytest.mark.parametrize('grid', [(8, 11), (40, 30)])
def test_direct_equals_brute_force(grid):
    codec = DirectCentroidCodec(grid)
    maps = {'centroid_rgb': torch.rand((1, 3, 30, 41), generator=torch.Generator().manual_seed(0)) * 1.6 - 0.3}
    cell, distance = chosen_cells(codec, maps, EVERYWHERE)
    place = cell_middles(codec)
    colours = torch.cat([torch.cat([place, torch.ones_like(place[:, :1])], dim=1), place.new_zeros(1, 3)])
    squared = ((maps['centroid_rgb'][0].flatten(1).T.double()[:, None] - colours) ** 2).sum(dim=2)
    least, best = squared.min(dim=1)
    torch.testing.assert_close(squared.gather(1, cell[:, None])[:, 0], least, rtol=0, atol=1e-6)
    assert (cell != best).float().mean() < 0.01 and 0.05 < (best < len(place)).float().mean() < 0.95
    inside = cell < len(place)
    torch.testing.assert_close(distance[inside], least[inside].sqrt().clamp(max=1).float())


def test_direct_ties_and_void():
    codec = DirectCentroidCodec((4, 4))
    # between columns 1 and 2; as near to void as to cell (0, 0), and a little nearer; outside the image
    blue = 0.5 - 0.125**2  # y . c = |c|^2 / 2 = (1 + 2 * 0.125^2) / 2
    pixels = [[0.5, 0.125, 1.0], [0.125, 0.125, blue], [0.125, 0.125, blue - 1e-3], [-3.0, 9.0, 2.0]]
    cell, _ = chosen_cells(codec, {'centroid_rgb': torch.tensor(pixels).T[None, :, None]}, torch.ones(1, 4, dtype=torch.bool))
    assert cell.tolist() == [1, 0, 16, 12]


def test_bins_equal_brute_force():
    codec = BinnedCentroidCodec((7, 9))
    generator = torch.Generator().manual_seed(0)
    maps = {name: 2 * torch.randn((1, num, 30, 41), generator=generator) for name, num in codec.channels.items()}
    for one in maps.values():
        one[:, -1] += 3
    cell, distance = chosen_cells(codec, maps, EVERYWHERE)
    (u, u_void), (v, v_void) = (
        (log[:-1], log[-1]) for log in (maps[name][0].double().log_softmax(dim=0).flatten(1) for name in ('u_bins', 'v_bins'))
    )
    joint = torch.cat([(v[:, None] + u[None]).flatten(0, 1), (u_void + v_void)[None]])
    assert torch.equal(cell, joint.argmax(dim=0))
    inside = cell < 63
    assert 0.05 < inside.float().mean() < 0.95
    chance, void = joint.gather(0, cell[None])[0].exp(), joint[-1].exp()
    torch.testing.assert_close(distance[inside], (2 * (1 - chance / (chance + void)))[inside].float())


def test_bins_void_is_last_on_ties():
    maps = {'u_bins': torch.zeros(1, 4, 1, 1), 'v_bins': torch.zeros(1, 6, 1, 1)}
    cell, distance = chosen_cells(BinnedCentroidCodec((5, 3)), maps, torch.ones(1, 1, dtype=torch.bool))
    assert cell.item() == 0 and distance.item() == 1


@pytest.mark.parametrize('kind', BOTH)
def test_without_foreground_noise_and_half_precision(kind):
    instances = squares(3, 4, 10, gap=3)
    codec = kind(min_pixels=5)
    maps, _ = ideal(codec, instances, InstanceMap.from_ids(torch.zeros(39, 52), torch.zeros(0)))
    for one in maps.values():
        one += 0.003 * torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    for chosen in (maps, {name: one.bfloat16() for name, one in maps.items()}):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            found, empty = codec.decode(chosen)
        assert partition(found.ids) == partition(instances.ids) and len(empty) == 0
        assert found.scores.dtype == torch.float32


@pytest.mark.parametrize('kind', BOTH)
def test_maps_without_a_number_are_void(kind):
    (found,) = kind().decode({name: torch.full((1, num, 5, 6), torch.nan) for name, num in kind().channels.items()})
    assert len(found) == 0


@pytest.mark.parametrize('kind', BOTH)
def test_bad_arguments(kind):
    with pytest.raises(ValueError, match=f'{kind.__name__}: a grid is'):
        kind((80, 0))
    with pytest.raises(TypeError, match='harmonics'):
        kind(harmonics=3)
