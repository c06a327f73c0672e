import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.codecs import DCMECodec
from mmext_instseg.structures import InstanceMap


def round_trip(codec: DCMECodec, instances: InstanceMap) -> InstanceMap:
    maps, _ = codec.encode(instances)
    return codec.decode({name: value[None] for name, value in maps.items()}, (instances.ids > 0)[None])[0]


def partition(ids: torch.Tensor) -> set[frozenset[int]]:
    """The objects as sets of pixels, whatever their numbers."""
    flat = ids.flatten()
    return {frozenset((flat == k).nonzero().flatten().tolist()) for k in flat[flat > 0].unique()}


def voronoi(seed: int, shape: tuple[int, int], num: int, ignored: bool = True) -> InstanceMap:
    """Objects that touch each other: nearest of `num` random sites, with a hole of background and an ignored corner."""
    generator = torch.Generator().manual_seed(seed)
    sites = torch.rand(num, 2, generator=generator) * torch.tensor(shape)
    y, x = torch.meshgrid(*(torch.arange(size) for size in shape), indexing='ij')
    ids = ((y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2).argmin(dim=-1) + 1 if num else torch.zeros_like(y)
    ids[: shape[0] // 3, : shape[1] // 3] = 0
    if ignored:
        ids[-2:, -2:] = -1
    return InstanceMap.from_ids(ids, torch.zeros(num, dtype=torch.int64)).compact()


def separated(codec: DCMECodec, instances: InstanceMap) -> bool:
    """Whether the cells of all centroids lie further apart than the peak window, along x or y."""
    cells = torch.floor((instances.centroids + 0.5) / codec.cell)
    apart = torch.cdist(cells, cells, p=torch.inf) > 2 * codec.peak_radius
    return bool((apart | torch.eye(len(cells), dtype=torch.bool)).all())


def test_encode_by_hand():
    instances = InstanceMap.from_ids(torch.tensor([[1, 1, 0], [1, -1, 2]]), torch.tensor([0, 0]))
    maps, weight = DCMECodec(background_weight=0.5, reference_side=1.0).encode(instances)
    dx, dy = maps['displacement']
    torch.testing.assert_close(dx, torch.tensor([[1 / 3, -2 / 3, 0], [1 / 3, 0, 0]]))
    torch.testing.assert_close(dy, torch.tensor([[1 / 3, 1 / 3, 0], [-2 / 3, 0, 0]]))
    torch.testing.assert_close(weight, torch.tensor([[3**-0.5, 3**-0.5, 0.5], [3**-0.5, 0.0, 1.0]]))


def test_weights_are_clipped_and_units_scale():
    ids = torch.zeros(40, 40, dtype=torch.int64)
    ids[:32, :32], ids[39, 39] = 1, 2
    instances = InstanceMap.from_ids(ids, torch.zeros(2))
    maps, weight = DCMECodec(unit=8.0, reference_side=4.0).encode(instances)
    assert weight[0, 0] == 0.25 and weight[39, 39] == 2.0  # 4 / 32 and 4 / 1
    assert maps['displacement'][:, 0, 0].tolist() == [15.5 / 8, 15.5 / 8]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(3, 70), st.integers(3, 70)),
    st.integers(0, 12),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([1.0, 8.0]),
)
def test_round_trip(seed, shape, num, peak_radius, cell, unit):
    codec = DCMECodec(peak_radius=peak_radius, join_radius=2 * peak_radius + 3, cell=cell, unit=unit)
    instances = voronoi(seed, shape, num)
    decoded = round_trip(codec, instances)
    truth, found = partition(instances.ids), partition(decoded.ids)
    if separated(codec, instances):
        assert found == truth
        assert torch.equal(decoded.scores, torch.ones(len(instances)))
    # Elsewhere objects merge, or get lost beside better ones, but none is split: each decoded object is a union of true ones.
    owners = {one: {int(k) for k in decoded.ids.flatten()[list(one)].unique()} for one in truth}
    assert all(len(owner) == 1 for owner in owners.values())
    assert found == {frozenset().union(*(one for one in truth if owners[one] == {k})) for k in range(1, len(decoded) + 1)}


def test_merges_are_counted_when_centres_meet():
    ids = torch.zeros(41, 41, dtype=torch.int64)
    ids[4:37, 4:37], ids[18:23, 18:23] = 1, 2  # a small object in the middle of a large one
    instances = InstanceMap.from_ids(ids, torch.zeros(2))
    decoded = round_trip(DCMECodec(), instances)
    assert len(instances) - len(decoded) == 1
    assert torch.equal(decoded.ids > 0, instances.ids > 0)


@pytest.mark.parametrize(('num', 'side'), [(513, 24), (2000, 45)])
def test_many_objects(num, side):
    y, x = torch.meshgrid(torch.arange(side * 7), torch.arange(side * 7), indexing='ij')
    ids = (y // 7) * side + x // 7 + 1
    ids[ids > num] = 0
    instances = InstanceMap.from_ids(ids, torch.zeros(num))
    decoded = round_trip(DCMECodec(), instances)
    assert len(decoded) == num and partition(decoded.ids) == partition(instances.ids)


def test_one_pixel_objects_touching_a_large_one():
    ids = torch.ones(60, 60, dtype=torch.int64)
    ids[5, 5], ids[50, 12], ids[0, 59] = 2, 3, 4
    instances = InstanceMap.from_ids(ids, torch.zeros(4))
    assert partition(round_trip(DCMECodec(), instances).ids) == partition(instances.ids)


def test_batch_equals_images_apart_and_empty_images_stay_empty():
    codec = DCMECodec()
    scenes = [voronoi(seed, (31, 45), num) for seed, num in ((0, 4), (1, 0), (2, 7))]
    maps = {'displacement': torch.stack([codec.encode(one)[0]['displacement'] for one in scenes])}
    foreground = torch.stack([one.ids > 0 for one in scenes])
    together = codec.decode(maps, foreground)
    for index, found in enumerate(together):
        alone = codec.decode({'displacement': maps['displacement'][index : index + 1]}, foreground[index : index + 1])[0]
        assert torch.equal(found.ids, alone.ids) and torch.equal(found.scores, alone.scores)
    empty = together[1]
    assert len(empty) == 0 and empty.ids.dtype == torch.int32
    assert (empty.labels.dtype, empty.scores.dtype, empty.boxes.shape) == (torch.int64, torch.float32, (0, 4))


def test_scores_groups_and_stray_votes_by_hand():
    vectors = torch.zeros(1, 2, 1, 40)
    vectors[0, 0] = 10 - torch.arange(40.0)  # all vote for x = 10 ...
    vectors[0, 0, 0, 3] += 4  # ... but one pixel, outside the core of +-2 and within 8,
    vectors[0, 0, 0, 5] += 20  # one too far from it, alone,
    vectors[0, 0, 0, 6] += 1000  # and one far outside the image
    foreground = torch.zeros(1, 1, 40, dtype=torch.bool)
    foreground[..., :10] = True
    loose = DCMECodec(min_votes=0.5).decode({'displacement': vectors}, foreground)[0]
    assert loose.ids[0, :10].tolist() == [1, 1, 1, 1, 1, 2, 0, 1, 1, 1]
    torch.testing.assert_close(loose.scores, torch.tensor([7 / 8, 1.0]))
    strict = DCMECodec(min_votes=2, min_area=2).decode({'displacement': vectors}, foreground)[0]
    assert strict.ids[0, :10].tolist() == [1, 1, 1, 1, 1, 0, 0, 1, 1, 1]


def test_background_in_a_coarse_foreground_joins_nothing():
    ids = torch.zeros(24, 24, dtype=torch.int64)
    ids[8:16, 8:16] = 1
    instances = InstanceMap.from_ids(ids, torch.zeros(1))
    maps = {name: value[None] for name, value in DCMECodec().encode(instances)[0].items()}
    everywhere = torch.ones(1, 24, 24, dtype=torch.bool)
    loose = DCMECodec(min_votes=20).decode(maps, everywhere)[0]
    assert loose.areas.tolist() == [197]  # the disc of join_radius 8
    strict = DCMECodec(min_votes=20, max_miss=0.5).decode(maps, everywhere)[0]
    assert torch.equal(strict.ids, instances.ids)


def test_a_vote_may_miss_by_a_share_of_its_distance():
    # One row: the centre is at 0, where 30 pixels of another image row vote; the others miss it by 4.
    vectors = torch.zeros(1, 2, 2, 40)
    vectors[0, 0] = -torch.arange(40.0)
    vectors[0, 1, 1] = -1
    vectors[0, 0, 0, [5, 7, 8, 9, 20]] += 4
    ids = DCMECodec(min_votes=8, max_miss=0.5).decode({'displacement': vectors})[0].ids[0]
    assert (ids == 0).nonzero().flatten().tolist() == [5, 7]
    ids = DCMECodec(min_votes=8).decode({'displacement': vectors})[0].ids[0]
    assert (ids == 1).all()


def test_without_foreground_every_pixel_votes():
    instances = InstanceMap.from_ids(torch.ones(5, 6, dtype=torch.int64), torch.zeros(1))
    maps, _ = DCMECodec().encode(instances)
    assert (DCMECodec().decode({'displacement': maps['displacement'][None]})[0].ids == 1).all()


def test_half_precision_maps_decode_in_float32():
    instances = voronoi(3, (40, 50), 5)
    maps, _ = DCMECodec(unit=8.0).encode(instances)
    decoded = DCMECodec(unit=8.0).decode({'displacement': maps['displacement'][None].bfloat16()}, (instances.ids > 0)[None])[0]
    assert decoded.scores.dtype == torch.float32 and math.isfinite(decoded.scores.sum())


def test_radii_are_checked():
    with pytest.raises(ValueError, match='join_radius'):
        DCMECodec(peak_radius=4, join_radius=3)
