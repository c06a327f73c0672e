import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from test_dcme import partition, voronoi

from mmext_instseg.codecs import BaseCodec, EmbeddingCodec
from mmext_instseg.codecs.embedding import block_pixels, border_pixels
from mmext_instseg.ops import adaptive_parameters, dbscan_cores, joint_histogram, sample_by_value
from mmext_instseg.registry import TASK_UTILS
from mmext_instseg.structures import InstanceMap

MODULE = 'mmext_instseg.codecs.embedding'


def round_trip(codec: EmbeddingCodec, instances: InstanceMap) -> InstanceMap:
    return codec.decode({'embedding': codec.encode(instances)[0]['embedding'][None]}, (instances.ids > 0)[None])[0]


def squares(rows: int, cols: int, side: int, gap: int = 0) -> InstanceMap:
    step = side + gap
    y, x = torch.meshgrid(torch.arange(rows * step), torch.arange(cols * step), indexing='ij')
    ids = torch.where((y % step < side) & (x % step < side), (y // step) * cols + x // step + 1, 0)
    return InstanceMap.from_ids(ids, torch.zeros(rows * cols))


def noisy(instances: InstanceMap, spread: float = 0.08, strays: float = 0.0, apart: float = 2.0, dims: int = 32, seed: int = 0):
    """(1, d, H, W) embeddings around means `apart` from each other, and the foreground; every stray is far from all else."""
    generator = torch.Generator().manual_seed(seed)
    embedding = EmbeddingCodec(dims).encode(instances)[0]['embedding'] * (apart / 4)
    embedding = embedding + spread * torch.randn(embedding.shape, generator=generator)
    far = torch.rand(instances.shape, generator=generator) < strays
    embedding = torch.where(far, embedding + 9 * torch.randn(embedding.shape, generator=generator), embedding)
    return {'embedding': embedding[None]}, (instances.ids > 0)[None], far


def smooth(instances: InstanceMap, apart: float, seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Embeddings as a network makes them: blurred across the borders of objects."""
    maps, foreground, _ = noisy(instances, 0.02, apart=apart, seed=seed)
    share = foreground[:, None].float()
    pool = torch.nn.AvgPool2d(3, 1, 1)
    return {'embedding': pool(pool(maps['embedding'] * share)) / pool(pool(share)).clamp(min=1e-6)}, foreground


def dbscan_of_all(maps, foreground, eps, min_samples, min_area) -> set[frozenset[int]]:
    """scikit-learn's DBSCAN of all foreground pixels of an image, as sets of pixels."""
    (mask,) = foreground
    labels = DBSCAN(eps=eps, min_samples=min_samples).fit(maps['embedding'][0][:, mask].T.numpy()).labels_
    ids = torch.zeros(mask.shape, dtype=torch.int64)
    ids[mask] = torch.from_numpy(labels) + 1
    return {one for one in partition(ids) if len(one) >= min_area}


def test_encode_by_hand():
    instances = InstanceMap.from_ids(torch.tensor([[1, 2, 0], [3, -1, 3]]), torch.zeros(3))
    maps, weight = EmbeddingCodec(dims=2, delta_dist=2.5).encode(instances)
    assert maps['embedding'].permute(1, 2, 0).tolist() == [[[5, 0], [0, 5], [0, 0]], [[5, 5], [0, 0], [5, 5]]]
    assert weight.tolist() == [[1, 1, 0], [1, 0, 1]]
    assert maps['embedding'].dtype == weight.dtype == torch.float32


@pytest.mark.parametrize(('dims', 'num'), [(1, 40), (2, 50), (3, 26), (3, 27), (8, 2000), (32, 3000), (64, 5)])
def test_ideal_embeddings_are_two_delta_dist_apart(dims, num):
    instances = InstanceMap.from_ids(torch.arange(num + 1)[None], torch.zeros(num))
    codec = EmbeddingCodec(dims, delta_dist=1.5)
    assert codec.channels == {'embedding': dims}
    points = codec.encode(instances)[0]['embedding'][:, 0].T
    assert points.shape == (num + 1, dims)
    distance = torch.cdist(points, points, compute_mode='donot_use_mm_for_euclid_dist').fill_diagonal_(9.0)
    assert distance.min() == 3.0


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(3, 70), st.integers(3, 70)),
    st.integers(0, 14),
    st.sampled_from([2, 5, 32]),
    st.sampled_from([1, 2, 16]),
)
def test_round_trip_up_to_the_size_filter(seed, shape, num, dims, min_area):
    instances = voronoi(seed, shape, num)
    decoded = round_trip(EmbeddingCodec(dims, min_area=min_area), instances)
    expected = {one for one in partition(instances.ids) if len(one) >= max(min_area, 1)}
    assert partition(decoded.ids) == expected
    assert decoded.areas.tolist() == sorted(map(len, expected), reverse=True)
    torch.testing.assert_close(decoded.scores, torch.ones(len(expected)), rtol=0, atol=1e-3)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.tuples(st.integers(1, 13), st.integers(1, 13)))
def test_pixels_come_block_after_block(seed, shape):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    pixel = block_pixels(mask)
    assert torch.equal(pixel.sort().values, mask.flatten().nonzero()[:, 0])
    block = pixel // shape[1] // 4 * 4 + pixel % shape[1] // 4  # at most four blocks in a row
    assert torch.equal(block, block.sort().values)


def test_small_objects_survive_a_small_sample():
    # 1 in 80 pixels is in the first sample: 50 of a large object, none or one of a small one.
    ids = torch.zeros(100, 100, dtype=torch.int64)
    ids[:, :90] = torch.arange(2).repeat_interleave(45) + 1
    for k in range(20):
        ids[5 * k : 5 * k + 4, 92:96] = k + 3
    instances = InstanceMap.from_ids(ids, torch.zeros(22))
    assert partition(round_trip(EmbeddingCodec(sample_size=116), instances).ids) == partition(ids)


def test_borders_wait_for_objects_that_a_later_sample_finds():
    # The small object has 1 pixel in the first sample.
    ids = torch.ones(60, 60, dtype=torch.int64)
    ids[20:26, 30:36] = 2
    instances = InstanceMap.from_ids(ids, torch.zeros(2))
    maps, foreground, _ = noisy(instances, 0.005, apart=1.1 / 2**0.5)  # the first two points of the lattice differ in two axes
    codec = EmbeddingCodec(sample_size=100)
    border = border_pixels(maps['embedding'][0], foreground[0])
    assert border[ids == 2].sum() == 20
    assert partition(codec.decode(maps, foreground)[0].ids) == partition(ids)


def test_what_lies_between_objects_is_no_object():
    # Two objects, and a band of pixels midway between them: denser than the objects, but within the highest eps of their cores.
    ids = torch.ones(20, 50, dtype=torch.int64)
    ids[:, 25:] = 2
    maps, foreground, _ = noisy(InstanceMap.from_ids(ids, torch.zeros(2)), 0.02)
    middle = maps['embedding'][..., 20:30].mean(dim=(2, 3), keepdim=True)
    nearer = 0.6 * middle + 0.4 * maps['embedding'][..., :1].mean(dim=(2, 3), keepdim=True)
    maps['embedding'][..., 23:27] = nearer
    (found,) = EmbeddingCodec().decode(maps, foreground)
    assert len(found) == 2
    found.ids[:, 23:27] = ids[:, 23:27] = 0
    assert partition(found.ids) == partition(ids)


@pytest.mark.parametrize('apart', [1.6, 1.9, 2.0, 3.0])
def test_a_thin_object_inside_another_is_found(apart):
    # All of its pixels are border pixels, no further from the other's cores than the means are apart.
    ids = torch.ones(60, 60, dtype=torch.int64)
    ids[28:30, 10:50] = 2
    embedding = torch.where(ids == 2, apart, 0.0) * torch.eye(4)[0].view(4, 1, 1)
    (found,) = EmbeddingCodec(dims=4).decode({'embedding': embedding[None]})
    assert partition(found.ids) == partition(ids)


def test_an_object_below_min_samples_is_found_afterwards():
    ids = torch.zeros(60, 60, dtype=torch.int64)
    ids[:50], ids[52:56, 10:15] = 1, 2
    instances = InstanceMap.from_ids(ids, torch.zeros(2))
    assert adaptive_parameters(torch.zeros(3000, 2), 0.4, 0.99)[1] > 20
    assert partition(round_trip(EmbeddingCodec(), instances).ids) == partition(ids)


@pytest.mark.parametrize('num', [200, 400])
def test_a_fixed_min_samples_finds_small_objects_beside_a_large_one(num):
    rows = num // 20
    ids = torch.ones(6 * rows + 200, 200, dtype=torch.int64)
    for k in range(num):
        y, x = 6 * (k // 20), 10 * (k % 20)
        ids[y : y + 6, x : x + 10] = 0
        ids[y + 1 : y + 5, x + 1 : x + 5] = k + 2
    instances = InstanceMap.from_ids(ids, torch.zeros(num + 1))
    assert len(round_trip(EmbeddingCodec(min_samples=8), instances)) == num + 1


def test_clusters_as_wide_as_the_loss_allows_stay_whole():
    # Pixels fill the ball of radius delta_var around their mean, most of them near its middle: small steps there, wide ones outside.
    generator = torch.Generator().manual_seed(0)
    ids = torch.ones(40, 60, dtype=torch.int64)
    ids[:, 30:] = 2
    way = torch.nn.functional.normalize(torch.randn(8, 40, 60, generator=generator), dim=0)
    reach = 0.5 * torch.rand(40, 60, generator=generator) ** 3
    embedding = way * reach + torch.where(ids == 2, 2.0, 0.0) * torch.eye(8)[0].view(8, 1, 1)
    (found,) = EmbeddingCodec(dims=8).decode({'embedding': embedding[None]})
    assert len(found) == 2 and (found.ids > 0).float().mean() > 0.98
    assert ((found.ids == found.ids[20, 10]) == (ids == 1))[found.ids > 0].all()


@pytest.mark.parametrize('num', [200, 1600])
def test_many_objects(num):
    instances = squares(num // 40, 40, 5)
    assert partition(round_trip(EmbeddingCodec(), instances).ids) == partition(instances.ids)


@pytest.mark.parametrize('sample_size', [400, 4096])
@pytest.mark.parametrize('seed', [0, 1])
def test_equals_full_dbscan_where_clusters_are_apart(seed, sample_size):
    instances = squares(3, 4, 17, gap=seed)
    maps, foreground, far = noisy(instances, strays=0.02, seed=seed)
    (found,) = EmbeddingCodec(sample_size=sample_size).decode(maps, foreground)
    assert partition(found.ids) == dbscan_of_all(maps, foreground, 0.95, 10, 16) and len(found) == 12
    assert torch.equal(found.ids > 0, (instances.ids > 0) & ~far), 'noise is nobody, everything else somebody'


def agreement(one: InstanceMap, other: InstanceMap) -> float:
    """Share of the first one's pixels in instances of both that meet with an IoU above 1/2."""
    counts = joint_histogram(one.ids.flatten(), other.ids.flatten(), len(one) + 1, len(other) + 1)[1:, 1:]
    union = one.areas[:, None] + other.areas - counts
    return float(counts[2 * counts > union].sum() / one.areas.sum())


@pytest.mark.parametrize(
    ('apart', 'numbers', 'least', 'most'), [(1.5, (16, 16), 1.0, 1.0), (1.4, (16, 15), 0.8, 0.95), (1.3, (16, 4), 0.0, 0.3)]
)
def test_disagreement_with_full_dbscan_where_clusters_are_not_apart(apart, numbers, least, most):
    # Two pixels of an object are 0.64 apart on average. Of all pixels, more lie between two means: full DBSCAN joins the objects first.
    instances = squares(4, 4, 22)
    maps, foreground, _ = noisy(instances, spread=0.08, apart=apart)
    (found,), (every,) = (EmbeddingCodec(sample_size=size).decode(maps, foreground) for size in (800, 10**6))
    assert (len(found), len(every)) == numbers
    assert least <= agreement(found, every) <= most
    assert agreement(found, instances) == 1.0


@pytest.mark.parametrize('turn', [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.mT, lambda x: x.mT.flip(-1)])
@pytest.mark.parametrize('apart', [0.9, 2.0])
def test_a_turned_image_has_the_same_instances(turn, apart):
    instances = voronoi(5, (75, 90), 14)
    maps, foreground = smooth(instances, apart)
    codec = EmbeddingCodec(sample_size=700)
    (found,) = codec.decode(maps, foreground)
    (other,) = codec.decode({'embedding': turn(maps['embedding'])}, turn(foreground))
    index = turn(torch.arange(found.ids.numel()).view(found.shape))
    back = torch.zeros_like(found.ids)
    back.view(-1)[index.flatten()] = other.ids.flatten()
    assert len(found) > 3 and partition(back) == partition(found.ids)
    assert torch.equal(found.scores.sort().values, other.scores.sort().values)


def test_twice_the_same():
    maps, foreground = smooth(voronoi(1, (80, 80), 10), 1.5)
    one, two = (EmbeddingCodec(sample_size=500).decode(maps, foreground)[0] for _ in range(2))
    assert torch.equal(one.ids, two.ids) and torch.equal(one.scores, two.scores)


def test_numbers_go_by_area_then_raster_order():
    ids = torch.zeros(12, 30, dtype=torch.int64)
    ids[6:10, 1:6], ids[1:5, 20:25], ids[1:5, 8:13], ids[5:11, 8:26] = 1, 2, 3, 4  # 20, 20, 20 and 108 pixels
    found = round_trip(EmbeddingCodec(), InstanceMap.from_ids(ids, torch.zeros(4)))
    assert [int(found.ids[one]) for one in ((6, 8), (1, 8), (1, 20), (6, 1))] == [1, 2, 3, 4]
    assert found.labels.tolist() == [0] * 4 and found.ids.dtype == torch.int32


def test_blurred_borders_neither_join_objects_nor_get_lost(monkeypatch):
    instances = squares(4, 4, 16)
    maps, foreground = smooth(instances, 2.0)
    codec = EmbeddingCodec()
    (found,) = codec.decode(maps, foreground)
    truth = instances.ids[8::16, 8::16].flatten().argsort()
    number = found.ids[8::16, 8::16].flatten()[truth]
    assert len(found) == 16 and len(number.unique()) == 16
    wrong = (found.ids > 0) & (number[instances.ids.long() - 1] != found.ids)
    assert wrong.float().mean() < 0.01 and (found.ids > 0).float().mean() > 0.95
    # With the borders in the sample, as much of them as of anything else, a sixth of all pixels fits nowhere
    monkeypatch.setattr(f'{MODULE}.border_pixels', lambda embedding, mask: torch.zeros_like(mask))
    (other,) = codec.decode(maps, foreground)
    assert (other.ids > 0).float().mean() < 0.85


def test_border_pixels_by_hand():
    # Changes to the right: 1, 1, 5, 1, 1; the largest of each pixel: 1, 1, 5, 5, 1, 1; median 1
    row = torch.tensor([0.0, 1, 2, 7, 8, 9]).view(1, 1, 6)
    inside = torch.ones(1, 6, dtype=torch.bool)
    assert border_pixels(row, inside)[0].tolist() == [False, False, True, True, False, False]
    # A neighbour outside the foreground says nothing, whatever it holds
    row[0, 0, 3] = float('nan')
    inside[0, 3] = False
    assert not border_pixels(row, inside).any()
    assert not border_pixels(torch.zeros(3, 4, 5), torch.zeros(4, 5, dtype=torch.bool)).any()


def test_border_pixels_stay_out_of_the_sample(monkeypatch):
    instances = squares(1, 2, 20)
    maps, foreground = smooth(instances, 2.0)
    taken = []

    def watch(points, size, right=sample_by_value):
        taken.append(points)
        return right(points, size)

    monkeypatch.setattr(f'{MODULE}.sample_by_value', watch)
    (found,) = EmbeddingCodec().decode(maps, foreground)
    border = border_pixels(maps['embedding'][0], foreground[0])
    assert border[:, 18:22].all() and border.sum() < 200
    assert len(taken[0]) == 800 - int(border.sum())
    assert (found.ids[border] > 0).float().mean() > 0.9, 'assigned afterwards'


def test_score_is_compactness_by_hand():
    # On both sides of the mean at distances 0.1 and 0.3 in equal parts: 1 - 0.2 / (2 / 2)
    embedding = torch.zeros(1, 2, 4, 10)
    embedding[0, 0] = torch.tensor([0.1, -0.1, 0.3, -0.3]).repeat(10).view(4, 10)
    (found,) = EmbeddingCodec(dims=2, eps=0.5).decode({'embedding': embedding})
    assert found.areas.tolist() == [40]
    assert found.scores.item() == pytest.approx(0.8, abs=1e-5)
    (wide,) = EmbeddingCodec(dims=2, delta_var=1.0, delta_dist=4.0, eps=0.5).decode({'embedding': embedding})
    assert wide.scores.item() == pytest.approx(0.9, abs=1e-5)


def test_a_network_that_spreads_its_clusters_scores_lower():
    instances = squares(2, 3, 20)
    tight, loose = (EmbeddingCodec().decode(*noisy(instances, spread)[:2])[0].scores for spread in (0.02, 0.08))
    assert len(tight) == len(loose) == 6
    assert (tight > 0.85).all() and (loose < 0.6).all() and (loose > 0.4).all()


def test_adaptive_eps_stays_below_the_gap(monkeypatch):
    used = []

    def watch(sample, eps, min_samples, right=dbscan_cores):
        used.append((eps, min_samples))
        return right(sample, eps, min_samples)

    monkeypatch.setattr(f'{MODULE}.dbscan_cores', watch)
    instances = squares(3, 3, 20)
    for spread in (0.0, 0.01, 0.05, 0.5):
        for delta_dist in (1.5, 2.0):
            used.clear()
            EmbeddingCodec(delta_dist=delta_dist).decode(*noisy(instances, spread)[:2])
            assert used and all(0 < eps < delta_dist - 1 and number >= 2 for eps, number in used)
    used.clear()
    EmbeddingCodec(eps=1.7, min_samples=5).decode(*noisy(instances, 0.05)[:2])
    assert set(used) == {(1.7, 5)}


def test_the_sample_is_bounded(monkeypatch):
    sizes = []

    def watch(sample, eps, min_samples, right=dbscan_cores):
        sizes.append(len(sample))
        return right(sample, eps, min_samples)

    monkeypatch.setattr(f'{MODULE}.dbscan_cores', watch)
    EmbeddingCodec(sample_size=300).decode(*noisy(squares(3, 3, 20), strays=0.2)[:2])
    assert sizes[0] == 300 and max(sizes) == 300 and len(sizes) <= 4


def test_small_clusters_are_noise():
    instances = squares(1, 3, 6, gap=2)
    ids = instances.ids.clone()
    ids[:, 6:16] = 0
    ids[1, 9:12] = 2  # three pixels
    instances = InstanceMap.from_ids(ids, torch.zeros(3))
    found = round_trip(EmbeddingCodec(min_area=4), instances)
    assert found.areas.tolist() == [36, 36] and (found.ids[1, 9:12] == 0).all()


def test_batch_equals_images_apart_and_empty_images_stay_empty():
    codec = EmbeddingCodec(8)
    scenes = [voronoi(seed, (31, 45), num) for seed, num in ((0, 4), (1, 0), (2, 7))]
    maps = torch.stack([codec.encode(one)[0]['embedding'] for one in scenes])
    foreground = torch.stack([one.ids > 0 for one in scenes])
    together = codec.decode({'embedding': maps, 'other': maps}, foreground)
    for index, found in enumerate(together):
        (alone,) = codec.decode({'embedding': maps[index : index + 1]}, foreground[index : index + 1])
        assert torch.equal(found.ids, alone.ids) and torch.equal(found.scores, alone.scores)
    empty = together[1]
    assert len(empty) == 0 and empty.ids.dtype == torch.int32
    assert (empty.labels.dtype, empty.scores.dtype, empty.boxes.shape) == (torch.int64, torch.float32, (0, 4))


def test_one_pixel_and_constant_embeddings():
    one = torch.zeros(1, 1, 1, dtype=torch.bool).logical_not()
    value = torch.full((1, 32, 1, 1), 3.0)
    assert len(EmbeddingCodec().decode({'embedding': value}, one)[0]) == 0
    assert len(EmbeddingCodec(min_area=2).decode({'embedding': value}, one)[0]) == 0
    assert EmbeddingCodec(min_area=1).decode({'embedding': value}, one)[0].ids.tolist() == [[1]]
    (found,) = EmbeddingCodec(sample_size=100).decode({'embedding': torch.full((1, 32, 30, 40), -7.5)})
    assert (found.ids == 1).all() and found.scores.tolist() == [1.0]


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 1e30, 3e38])
def test_what_is_not_finite_is_noise(bad):
    instances = squares(2, 2, 10)
    maps, foreground, _ = noisy(instances, 0.02)
    (clean,) = EmbeddingCodec().decode(maps, foreground)
    maps['embedding'][0, 5, 3, 3] = bad
    maps['embedding'][0, :, 14:16, 2:8] = bad
    (found,) = EmbeddingCodec().decode(maps, foreground)
    hit = torch.zeros(20, 20, dtype=torch.bool)
    hit[3, 3], hit[14:16, 2:8] = True, True
    assert (found.ids[hit] == 0).all() and found.scores.isfinite().all()
    assert partition(found.ids) == partition(torch.where(hit, 0, clean.ids)) and len(found) == 4
    maps['embedding'][:] = bad
    assert len(EmbeddingCodec().decode(maps, foreground)[0]) == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_maps_decode_in_float32(dtype):
    maps, foreground, _ = noisy(squares(2, 3, 15), 0.05)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (found,) = EmbeddingCodec().decode({'embedding': maps['embedding'].to(dtype)}, foreground)
    assert len(found) == 6 and found.scores.dtype == torch.float32
    assert found.areas.sum() > 0.98 * foreground.sum()


def test_far_from_the_origin():
    maps, foreground, _ = noisy(squares(3, 4, 12), 0.05)
    (near,) = EmbeddingCodec().decode(maps, foreground)
    (far,) = EmbeddingCodec().decode({'embedding': maps['embedding'] + 400}, foreground)
    assert partition(far.ids) == partition(near.ids)


def test_inputs_stay_as_they_are_and_may_need_gradients():
    maps, foreground, _ = noisy(squares(2, 2, 10))
    before, mask = maps['embedding'].clone(), foreground.clone()
    maps['embedding'].requires_grad_()
    (found,) = EmbeddingCodec().decode(maps, foreground)
    assert torch.equal(maps['embedding'], before) and torch.equal(foreground, mask)
    assert not found.scores.requires_grad and len(found) == 4


def test_registered_and_finer_at_a_stride():
    codec = TASK_UTILS.build(dict(type='EmbeddingCodec', dims=4))
    assert isinstance(codec, BaseCodec) and codec.dims == 4
    assert [EmbeddingCodec.arguments_at(stride) for stride in (1, 2, 8)] == [dict(min_area=area) for area in (16, 4, 1)]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(dims=0), 'dims must be a whole number'),
        (dict(sample_size=1.5), 'sample_size must be a whole number'),
        (dict(min_area=0), 'min_area must be a whole number'),
        (dict(min_samples=0), 'min_samples must be a whole number'),
        (dict(eps=0.0), 'eps must be above 0'),
        (dict(delta_var=-1), 'delta_var must be above 0'),
        (dict(delta_dist=1.0), 'make delta_dist larger than 2 \\* delta_var or give eps'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f'EmbeddingCodec: .*{message}'):
        EmbeddingCodec(**arguments)


def test_touching_clusters_need_an_eps():
    codec = EmbeddingCodec(delta_dist=1.0, eps=0.3)
    assert codec.limit == 0.3
    assert len(codec.decode(*noisy(squares(2, 2, 12), 0.02)[:2])[0]) == 4
