import math

import pytest
import torch
from centroid_checks import SHAPES, WINDOWS, check_round_trip, chosen_cells, ideal, squares
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dcme import partition, voronoi

from mmext_instseg.codecs import PECentroidCodec, positional_code, rotate_code
from mmext_instseg.codecs.centroid_grid import cell_centres, first_maximum
from mmext_instseg.codecs.near_nms import near_nms
from mmext_instseg.codecs.pe_centroid import fewest_cells
from mmext_instseg.ops import matrix_nms
from mmext_instseg.structures import InstanceMap

CPU = torch.device('cpu')


def random_code(codec: PECentroidCodec, shape: tuple[int, int], seed: int = 0, scale: float = 1.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {'centroid_code': scale * torch.randn((1, 4 * codec.harmonics, *shape), generator=generator)}


def whole_grid(codec: PECentroidCodec) -> torch.Tensor:
    """(R * C + 1, 4 L) float64: every cell's code in raster order, void last."""
    rows, cols = codec.grid
    across, down = codec.code(cell_centres(cols, CPU)), codec.code(cell_centres(rows, CPU))
    codes = torch.cat([across.repeat(rows, 1), down.repeat_interleave(cols, 0)], dim=1)
    return torch.cat([codes, torch.zeros_like(codes[:1])]).double()


def test_eq_3_by_hand():
    torch.testing.assert_close(positional_code(torch.tensor([0.5, 0.0]), 2), torch.tensor([[1.0, 0, 0, -1], [0, 1, 0, 1]]))
    half = math.sqrt(0.5)
    torch.testing.assert_close(positional_code(torch.tensor([0.25]), 3), torch.tensor([[half, half, 1, 0, 0, -1]]))


def test_eq_2_by_hand():
    instances = InstanceMap.from_ids(torch.tensor([[1, 1, 0, -1]]), torch.zeros(1))  # u = 2 (0.5 + 0.5) / 4 - 1 = -1/2, v = 0
    maps, weight = PECentroidCodec(harmonics=2).encode(instances)
    code = torch.tensor([-1.0, 0, 0, -1, 0, 1, 0, 1])
    torch.testing.assert_close(maps['centroid_code'][:, 0], torch.stack([code, code, 0 * code, 0 * code], dim=1))
    assert weight.tolist() == [[1, 1, 1, 0]]
    assert PECentroidCodec(void_weight=0.25).encode(instances)[1].tolist() == [[1, 1, 0.25, 0]]
    weighted = PECentroidCodec(void_weight=0.25, reference_side=0.5).encode(instances)[1]
    torch.testing.assert_close(weighted, torch.tensor([[8**-0.5, 8**-0.5, 0.25, 0.0]]))  # 0.5 / sqrt(2)
    assert PECentroidCodec(void='ignore').encode(instances)[1].tolist() == [[1, 1, 0, 0]]


def test_void_is_as_far_from_every_code():
    codes = whole_grid(PECentroidCodec(harmonics=4, grid=(13, 17)))[:-1]
    torch.testing.assert_close(codes.norm(dim=1), torch.full((13 * 17,), math.sqrt(8), dtype=torch.float64))


def test_borders_share_a_code_unless_there_is_a_margin():
    ends = torch.tensor([-1.0, 1.0])
    first, last = PECentroidCodec().code(ends)
    torch.testing.assert_close(first, last)
    first, last = PECentroidCodec(margin=0.1).code(ends)
    assert (first - last).norm() > 1
    # The code of the first column, turned a little further to the left than the border
    step = positional_code(torch.tensor([-0.02]), 4)
    for margin, column in ((0.0, 79), (0.1, 0)):
        codec = PECentroidCodec(margin=margin)
        half = codec.code(cell_centres(80, CPU)[:1])
        code = torch.cat([rotate_code(half.T, step.T), half.T])
        cell, _ = chosen_cells(codec, {'centroid_code': code[None, :, None]}, torch.ones(1, 1, dtype=torch.bool))
        assert cell.item() == column


@pytest.mark.parametrize(('harmonics', 'fewest'), [(1, 3), (2, 5), (3, 8), (4, 13), (5, 22)])
def test_coarse_grids_are_refused(harmonics, fewest):
    assert fewest_cells(harmonics) == fewest
    PECentroidCodec(harmonics, (fewest, fewest))
    for grid in ((fewest - 1, 80), (80, fewest - 1)):
        with pytest.raises(ValueError, match=rf'nearer to void .* at least {fewest} rows and columns'):
            PECentroidCodec(harmonics, grid)
    # A centroid between four cells is nearer to them than to void, but not on a grid with one less
    for num, lost in ((fewest, False), (fewest - 1, True)):
        first, second = cell_centres(num, CPU)[:2]
        corner = positional_code(((first + second) / 2)[None], harmonics)[0]
        assert (2 * (positional_code(first[None], harmonics) @ corner) < harmonics) == lost
    everywhere = positional_code(torch.linspace(-1, 1, 500), harmonics).T
    across = everywhere[:, None, :].expand(-1, 500, -1)
    maps = {'centroid_code': torch.cat([across, across.transpose(1, 2)])[None]}
    cell, _ = chosen_cells(PECentroidCodec(harmonics, (fewest, fewest)), maps, torch.ones(500, 500, dtype=torch.bool))
    assert (cell < fewest**2).all()


@pytest.mark.parametrize(('grid', 'harmonics', 'margin'), [((13, 20), 4, 0.0), ((31, 22), 5, 0.1), ((8, 9), 3, 0.0), ((40, 40), 4, 0.25)])
def test_separable_search_equals_brute_force(grid, harmonics, margin):
    codec = PECentroidCodec(harmonics, grid, margin)
    codes = whole_grid(codec)
    for scale in (0.2, 0.7, 2.0):
        maps = random_code(codec, (15, 21), scale=scale)
        cell, distance = chosen_cells(codec, maps, torch.ones(15, 21, dtype=torch.bool))
        pixels = maps['centroid_code'][0].flatten(1).T.double()
        squared = ((pixels[:, None] - codes) ** 2).sum(dim=2)
        best = squared.argmin(dim=1)
        tied = squared.topk(2, largest=False).values.diff(dim=1)[:, 0] < 1e-5
        assert tied.float().mean() < 0.01
        assert torch.equal(cell[~tied], best[~tied])
        torch.testing.assert_close(squared.gather(1, cell[:, None]), squared.gather(1, best[:, None]), rtol=0, atol=1e-5)
        inside = cell < grid[0] * grid[1]
        exact = (squared.gather(1, cell[:, None])[:, 0] / (2 * harmonics)).sqrt().clamp(max=1)
        torch.testing.assert_close(distance[inside], exact[inside].float())
        # Eq. 4: the nearest cell by the sum of the two norms is the same
        halves = [(pixels[:, None, half] - codes[:-1, half]).norm(dim=2) for half in (slice(2 * harmonics), slice(2 * harmonics, None))]
        assert torch.equal((halves[0] + halves[1]).argmin(dim=1)[inside & ~tied], cell[inside & ~tied])
        if scale == 0.7:
            assert 0.05 < inside.float().mean() < 0.95, 'both occur'


def test_ties_go_to_the_first_cell_and_void_is_last():
    codec = PECentroidCodec(harmonics=4, grid=(15, 15))
    middle = torch.tensor([0.0, 1] * 8)  # gamma(0), gamma(0): the code of cell (7, 7), exact in float32
    below = torch.nextafter(torch.tensor(0.5), torch.tensor(0.0))
    only_v = torch.cat([torch.zeros(8), 2 * middle[8:]])  # every column is as near
    mirrored = torch.cat([torch.tensor([0.0, 0, 0, -4, 0, 0, 0, 0]), middle[8:]])  # -4 cos 2 pi u: columns 3 and 11 lead
    pixels = torch.stack([0.5 * middle, below * middle, 0 * middle, only_v, mirrored], dim=1)
    cell, distance = chosen_cells(codec, {'centroid_code': pixels[None, :, None]}, torch.ones(1, 5, dtype=torch.bool))
    assert cell.tolist() == [7 * 15 + 7, 225, 225, 7 * 15, 7 * 15 + 3]
    assert distance[0] == 0.5


def test_first_maximum():
    values = torch.randn((33, 200), generator=torch.Generator().manual_seed(0))
    values[:, :50] = (values[:, :50] * 2).round()  # ties
    values[:, 50] = 0
    values[:, 51] *= 1e-6
    top, index = first_maximum(values.clone())
    assert torch.equal(top, values.max(dim=0).values)
    assert torch.equal(index, (values == top).int().argmax(dim=0))
    values[3, 7], values[4, 8], values[5, 9] = torch.nan, torch.inf, -torch.inf
    top, index = first_maximum(values.clone())
    assert top[7].isnan() and top[8] == torch.inf and top[9] == values[:, 9].max()
    assert ((index >= 0) & (index < 33)).all()


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**31),
    SHAPES,
    st.integers(0, 10),
    WINDOWS,
    st.sampled_from([(3, (8, 11)), (4, (13, 40)), (4, (80, 80)), (5, (64, 50))]),
    st.booleans(),
    st.sampled_from([0.0, 0.1]),
)
def test_round_trip(seed, shape, num, windows, size, relative, margin):
    check_round_trip(PECentroidCodec(*size, margin, relative, **windows), voronoi(seed, shape, num))


@pytest.mark.parametrize('relative', [False, True])
def test_many_instances_and_none(relative):
    many = squares(25, 24, 6, gap=1)
    codec = PECentroidCodec(relative=relative, max_instances=None)
    assert check_round_trip(codec, many)
    assert len(codec.decode(*ideal(codec, many))[0]) == 600
    best = PECentroidCodec(relative=relative).decode(*ideal(codec, many))[0]
    every = codec.decode(*ideal(codec, many))[0]
    assert len(best) == 100
    torch.testing.assert_close(best.scores.sort().values, every.scores.sort().values[-100:], atol=1e-5, rtol=0)
    assert check_round_trip(codec, InstanceMap.from_ids(torch.zeros(7, 9), torch.zeros(0)))


def test_one_pixel_objects_in_a_large_one():
    ids = torch.ones(60, 61, dtype=torch.int64)
    ids[5, 5], ids[50, 12], ids[0, 60] = 2, 3, 4
    assert check_round_trip(PECentroidCodec(), InstanceMap.from_ids(ids, torch.zeros(4)))


def test_merges_are_counted_when_centroids_meet():
    ids = torch.zeros(41, 41, dtype=torch.int64)
    ids[4:37, 4:37], ids[18:23, 18:23] = 1, 2  # a small object in the middle of a large one
    instances = InstanceMap.from_ids(ids, torch.zeros(2))
    assert not check_round_trip(PECentroidCodec(), instances)
    assert len(PECentroidCodec().decode(*ideal(PECentroidCodec(), instances))[0]) == 1


def test_rotation_adds_coordinates():
    first, second = torch.tensor([0.3, -0.9, 0.0]), torch.tensor([-0.7, -0.8, 1.0])
    turned = rotate_code(positional_code(first, 5).T, positional_code(second, 5).T)
    torch.testing.assert_close(turned.T, positional_code(first + second, 5))
    assert not rotate_code(torch.zeros(10, 3), turned).any()


@pytest.mark.parametrize('relative', [False, True])
def test_codes_do_not_depend_on_padding(relative):
    codec = PECentroidCodec(relative=relative)
    instances = voronoi(3, (30, 41), 6)
    padded = instances.pad((64, 56))
    code = codec.encode(instances)[0]['centroid_code']
    torch.testing.assert_close(codec.encode(padded)[0]['centroid_code'][:, :30, :41], code)
    assert torch.equal(codec.table(padded), codec.table(instances))
    # At half the size the image ends within a pixel: codes still refer to it
    small = padded.resize((32, 28))
    assert small.extent == (15, 20.5)
    maps, _ = codec.encode(small)
    (found,) = codec.decode({'centroid_code': maps['centroid_code'][None]}, (small.ids > 0)[None], [small.extent])
    assert partition(found.ids) == partition(small.ids)
    if relative:
        torch.testing.assert_close(
            codec.absolute({'centroid_code': maps['centroid_code'][None]}, [small.extent])['centroid_code'][0],
            PECentroidCodec().encode(small)[0]['centroid_code'],
            atol=1e-5,
            rtol=0,
        )


@pytest.mark.parametrize('margin', [0.0, 0.2])
def test_relative_code_is_the_difference_and_decodes_alike(margin):
    instances = voronoi(3, (30, 41), 6)
    absolute, relative = (PECentroidCodec(margin=margin, relative=flag) for flag in (False, True))
    code = relative.encode(instances)[0]['centroid_code']
    u = (2 * instances.centroids[0, 0] + 1) / 41 - 1
    y, x = (instances.ids == 1).nonzero()[0].tolist()
    own = (2 * x + 1) / 41 - 1
    torch.testing.assert_close(code[:8, y, x], positional_code((1 - margin) * (u - own)[None], 4)[0], atol=1e-5, rtol=0)
    assert not code[:, instances.ids <= 0].any()
    # Any prediction: turned by the pixel's own angle it is as far from the truth, and decodes the same
    truth, guess = absolute.encode(instances)[0]['centroid_code'], random_code(absolute, (30, 41), 1, 0.5)['centroid_code'][0]
    columns, rows = (positional_code(-(1 - margin) * cell_centres(side, CPU), 4).T for side in (41, 30))
    turned = torch.cat(
        [
            rotate_code(half, by.expand_as(half))
            for half, by in zip((truth + guess).chunk(2), (columns[:, None, :], rows[:, :, None]), strict=True)
        ]
    )
    torch.testing.assert_close((turned - code).norm(dim=0), guess.norm(dim=0), atol=1e-5, rtol=0)
    everywhere = torch.ones(30, 41, dtype=torch.bool)
    first, second = (
        chosen_cells(codec, {'centroid_code': maps[None]}, everywhere) for codec, maps in ((absolute, truth + guess), (relative, turned))
    )
    assert (first[0] != second[0]).float().mean() < 0.01, 'but for rounding at cell borders'
    same = first[0] == second[0]
    torch.testing.assert_close(first[1][same], second[1][same], atol=1e-5, rtol=0)


def test_relative_maps_move_with_the_image():
    ids = torch.zeros(40, 40, dtype=torch.int64)
    ids[4:9, 5:13] = 1
    codec = PECentroidCodec(relative=True)
    first, moved = (
        codec.encode(InstanceMap.from_ids(one, torch.zeros(1)))[0]['centroid_code'] for one in (ids, ids.roll((20, 11), (0, 1)))
    )
    torch.testing.assert_close(first.roll((20, 11), (1, 2)), moved, atol=1e-5, rtol=0)


@pytest.mark.parametrize('radius', [0, 1, 2, 3])
def test_near_nms_equals_matrix_nms_of_the_masks(radius):
    generator = torch.Generator().manual_seed(radius)
    votes = torch.randint(0, 30, (2, 9, 12), generator=generator) * (torch.rand(2, 9, 12, generator=generator) < 0.5)
    cells = (torch.rand(2, 9, 12, generator=generator) < 0.4).logical_and(votes > 0).nonzero()
    scores = (torch.rand(len(cells), generator=generator) * 10).ceil() / 10  # ties
    place = torch.arange(votes.numel()).repeat_interleave(votes.flatten())  # one entry a vote
    image, row, col = place // 108, place // 12 % 9, place % 12
    masks = (image == cells[:, :1]) & ((row - cells[:, 1:2]) ** 2 + (col - cells[:, 2:]) ** 2 <= radius**2)
    expected = matrix_nms(masks[:, None], cells[:, 0], scores) / scores
    torch.testing.assert_close(near_nms(votes, cells, scores, radius).float(), expected)
    assert near_nms(votes, cells[:0], scores[:0], radius).shape == (0,)


def test_scores_and_nms_by_hand():
    settings = dict(harmonics=4, grid=(20, 20), peak_radius=0, near_radius=1)
    code = whole_grid(PECentroidCodec(**settings)).float()
    cells = torch.tensor([205] * 6 + [206] * 4 + [50] * 5 + [400] * 3)  # two cells side by side, one alone, void
    maps = {'centroid_code': code[cells].T[None, :, None].clone()}
    maps['centroid_code'][..., 12] *= 0.6  # 0.4 of the maximum away
    (every,) = PECentroidCodec(**settings, nms_threshold=0.0).decode(maps)
    assert every.ids[0].tolist() == [2] * 6 + [3] * 4 + [1] * 5 + [0] * 3
    # The masks of 205 and 206 are the same ten pixels, and 205 comes first
    torch.testing.assert_close(every.scores, torch.tensor([1 - 0.4 / 5, 1.0, math.exp(-2)]))
    (found,) = PECentroidCodec(**settings).decode(maps)
    assert found.ids[0].tolist() == [2] * 10 + [1] * 5 + [0] * 3
    missed = math.sqrt(sum(2 - 2 * math.cos(2**level * math.pi / 10) for level in range(4)) / 8)  # a cell further is 0.1 of u
    torch.testing.assert_close(found.scores, torch.tensor([1 - 0.4 / 5, 1 - 4 * missed / 10]))


def test_pixels_join_the_nearest_survivor_or_void():
    codec = PECentroidCodec(grid=(20, 20), min_pixels=3)
    code = whole_grid(codec).float()
    stray = torch.stack([code[205], code[206], 0.6 * code[205] + 0.4 * code[50], 0.2 * code[50]])  # beside; between; too weak
    pixels = torch.cat([code[205].expand(9, -1), code[50].expand(9, -1), stray])
    (found,) = codec.decode({'centroid_code': pixels.T[None, :, None]})
    assert found.ids[0].tolist() == [2] * 9 + [1] * 9 + [2, 2, 2, 0]


def test_a_pixel_that_chose_a_cell_near_a_survivor_asks_no_other():
    codec = PECentroidCodec(grid=(20, 20), min_pixels=3, near_radius=2, nms_threshold=0.0)
    code = whole_grid(codec).float()
    pixels = torch.cat([code[205].expand(9, -1), code[212].expand(9, -1), code[206:212]])  # cells between the two survivors
    (found,) = codec.decode({'centroid_code': pixels.T[None, :, None]})
    assert found.ids[0].tolist() == [1] * 9 + [2] * 9 + [1, 1, 0, 0, 2, 2]
    asked, affinity = [], codec.affinity
    codec.affinity = lambda values, *which: (asked.append(values.shape[1]), affinity(values, *which))[1]
    codec.decode({'centroid_code': pixels.T[None, :, None]})
    assert asked[2:] == [2, 2]  # after the search of columns and rows: the two cells (208, 209) near none, which void beats


def test_small_groups_are_dropped():
    instances = squares(1, 1, 5, gap=20)
    for min_pixels, found in ((25, 1), (26, 0)):
        codec = PECentroidCodec(min_pixels=min_pixels)
        (decoded,) = codec.decode(*ideal(codec, instances))
        assert len(decoded) == found and decoded.ids.max() == found


def test_noise_splits_nothing():
    instances = squares(4, 5, 20, gap=4)
    codec = PECentroidCodec(min_pixels=10)
    maps, foreground = ideal(codec, instances)
    maps['centroid_code'] += 0.2 * torch.randn(maps['centroid_code'].shape, generator=torch.Generator().manual_seed(0))
    (found,) = codec.decode(maps, foreground)
    assert len(found) == 20
    assert (found.ids != instances.ids).float().mean() < 0.01


@pytest.mark.parametrize('relative', [False, True])
def test_batch_equals_images_apart_and_empty_images_stay_empty(relative):
    codec = PECentroidCodec(relative=relative)
    maps, foreground = ideal(codec, *(voronoi(seed, (31, 45), num) for seed, num in ((0, 4), (1, 0), (2, 7))))
    maps['centroid_code'] += 0.2 * torch.randn(maps['centroid_code'].shape, generator=torch.Generator().manual_seed(0))
    together = codec.decode(maps, foreground)
    for index, found in enumerate(together):
        alone = codec.decode({'centroid_code': maps['centroid_code'][index : index + 1]}, foreground[index : index + 1])[0]
        assert torch.equal(found.ids, alone.ids) and torch.allclose(found.scores, alone.scores)
    empty = together[1]
    assert len(together[0]) > 3 and len(empty) == 0 and empty.ids.dtype == torch.int32
    assert (empty.labels.dtype, empty.scores.dtype, empty.boxes.shape) == (torch.int64, torch.float32, (0, 4))
    strided = foreground.transpose(1, 2).contiguous().transpose(1, 2)
    assert all(torch.equal(one.ids, two.ids) for one, two in zip(codec.decode(maps, strided), together, strict=True))


def test_without_foreground_void_is_found_by_its_code():
    instances = voronoi(3, (40, 50), 5)
    (found,) = PECentroidCodec().decode(ideal(PECentroidCodec(), instances)[0])
    assert partition(found.ids) == partition(instances.ids)


def test_half_precision_decodes_in_float32():
    instances = voronoi(3, (40, 50), 5)
    codec = PECentroidCodec()
    maps, foreground = ideal(codec, instances)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (found,) = codec.decode({'centroid_code': maps['centroid_code'].bfloat16()}, foreground)
    assert found.scores.dtype == torch.float32 and partition(found.ids) == partition(instances.ids)


def test_maps_without_a_number_are_void():
    (found,) = PECentroidCodec().decode({'centroid_code': torch.full((1, 16, 5, 6), torch.nan)})
    assert len(found) == 0 and not found.ids.any()


def test_codes_made_in_inference_mode_serve_training():
    codec, instances = PECentroidCodec(grid=(17, 19), relative=True), voronoi(0, (19, 17), 3)
    with torch.inference_mode():
        codec.decode(ideal(codec, instances)[0])
    maps = random_code(codec, (19, 17))['centroid_code'].requires_grad_()
    codec.values({'centroid_code': maps}, 0, torch.arange(9))[0].sum().backward()
    assert maps.grad.any()
    (with_gradient,), (without,) = (codec.decode({'centroid_code': one}) for one in (maps, maps.detach()))
    assert torch.equal(with_gradient.ids, without.ids)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(harmonics=0), 'harmonics'),
        (dict(margin=1.0), 'margin'),
        (dict(grid=(80, 0)), 'rows, columns'),
        (dict(grid=(80,)), 'rows, columns'),
        (dict(void='skip'), "'code' or 'ignore'"),
        (dict(peak_radius=-1), 'peak_radius'),
        (dict(near_radius=1.5), 'near_radius'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f'PECentroidCodec: .*{message}'):
        PECentroidCodec(**arguments)
