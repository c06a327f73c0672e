import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from mmext_instseg.ops import adaptive_parameters, dbscan_cores, linked_cores, sample_by_value


def gaussians(num, per, dims=8, spread=0.05, apart=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    means = torch.eye(num, dims) * apart / 2**0.5
    return means.repeat_interleave(per, 0) + spread * torch.randn(num * per, dims, generator=generator)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 400), st.integers(1, 5), st.integers(1, 100), st.booleans())
def test_the_sample_is_the_same_points_in_any_order(seed, num, dims, size, coarse):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(num, dims, generator=generator)
    grid = 1 if coarse else 1024  # many equal ones, or few
    points = (points * grid).round() / grid
    rows = sample_by_value(points, size)
    assert len(rows) == len(rows.unique()) == min(size, num)
    shuffled = points[torch.randperm(num, generator=generator)]
    assert torch.equal(shuffled[sample_by_value(shuffled, size)], points[rows])


def test_equal_points_get_their_share():
    points = torch.tensor([[1.0, 2.0]] * 100 + [[3.0, -1.0]] * 300)
    rows = sample_by_value(points, 40)
    assert (rows < 100).sum() == 10


def test_every_cluster_gets_its_share():
    points = gaussians(8, 500)
    counts = torch.bincount(sample_by_value(points, 400) // 500, minlength=8)
    assert counts.min() > 25 and counts.max() < 85  # 50 each on average


def test_adaptive_parameters_by_hand():
    # Points 1, 2, ... 10 in hundredths. Distances to the fourth neighbour: 4, 3, 2, 2, 2, 2, 2, 2, 3, 4; 2.5 medians are 5 hundredths.
    line = torch.arange(1.0, 11.0)[:, None] / 100
    eps, min_samples = adaptive_parameters(line, low=0.0, high=1.0)
    assert eps == pytest.approx(0.05)
    assert min_samples == 2  # a fifth of 10 at most
    # 240 equal points: all within eps, a fifth is 48
    assert adaptive_parameters(torch.ones(240, 3), low=0.4, high=1.0) == (pytest.approx(0.4), 48)
    # Within 4.5 hundredths 5 to 9 points, the median of 5, 6, 7, 8, 9, 9, 8, 7, 6, 5 is 7: at least 2; of 100 such lines it is 20 % of 700
    assert adaptive_parameters(line.repeat(100, 1), 0.0, 1.0, eps=0.045) == (0.045, 140)


def test_objects_of_few_points_cap_min_samples():
    # One object of 400 equal points and 25 of 4: the harmonic mean is 500 / 26 = 19.2, so min_samples is 9 and not 80.
    means = torch.arange(26.0)[:, None] * 5
    points = torch.cat([means[:1].repeat(400, 1), means[1:].repeat_interleave(4, 0)])
    assert adaptive_parameters(points, low=0.4, high=0.99)[1] == 9


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 300), st.sampled_from([0.0, 1e-4, 0.1, 10.0]), st.sampled_from([0.05, 0.99]))
def test_eps_stays_within_its_bounds(seed, num, spread, high):
    points = spread * torch.randn(num, 6, generator=torch.Generator().manual_seed(seed))
    eps, min_samples = adaptive_parameters(points, high / 50, high)
    assert high / 50 * 0.999 <= eps <= high * 1.001 and 2 <= min_samples <= max(num // 2, 2)


def test_eps_follows_the_spread_and_withstands_noise():
    tight, loose = (adaptive_parameters(gaussians(8, 60, spread=spread), 0.01, 0.99)[0] for spread in (0.02, 0.08))
    assert loose == pytest.approx(4 * tight, rel=1e-3)
    noise = 10 * torch.randn(150, 8, generator=torch.Generator().manual_seed(1))
    noisy = adaptive_parameters(torch.cat([gaussians(8, 60, spread=0.02), noise]), 0.01, 0.99)[0]
    assert tight < noisy < 2 * tight


def test_cores_are_scikit_learns():
    points = gaussians(5, 40, spread=0.2, seed=2)
    found = DBSCAN(eps=0.5, min_samples=6).fit(points.numpy())
    rows, cluster = dbscan_cores(points, 0.5, 6)
    assert 10 < len(rows) < 200
    assert sorted(rows.tolist()) == found.core_sample_indices_.tolist()
    assert cluster.tolist() == found.labels_[rows.numpy()].tolist() == sorted(cluster.tolist())


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31),
    st.integers(1, 700),
    st.integers(1, 8),
    st.sampled_from([1.0, 30.0]),
    st.floats(0.05, 2),
    st.integers(1, 8),
    st.booleans(),
)
def test_cores_and_clusters_are_scikit_learns_of_any_points(seed, num, dims, scale, eps, min_samples, coarse):
    points = scale * torch.rand(num, dims, generator=torch.Generator().manual_seed(seed))
    if coarse:  # many pairs at a distance of exactly eps, which are neighbours
        points, eps = (4 * points).round() / 4, max(round(4 * eps), 1) / 4
    found = DBSCAN(eps=eps, min_samples=min_samples, algorithm='brute').fit(points.numpy())
    rows, cluster = dbscan_cores(points, eps, min_samples)
    order = rows.argsort()
    assert rows[order].tolist() == found.core_sample_indices_.tolist()
    assert cluster[order].tolist() == found.labels_[found.core_sample_indices_].tolist()


def test_a_distance_a_little_over_eps_is_over_it_far_from_0_too():
    # Float32's squares of 300 are steps of 0.008: the products alone can't tell these two distances from eps
    points = torch.tensor([[300.0, 300.0]]).repeat(3, 1)
    points[1, 0] += 0.5
    points[2, 1] -= 0.5001
    rows, cluster = dbscan_cores(points, 0.5, 1)
    assert cluster[rows.argsort()].tolist() == [0, 0, 1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 300), st.integers(1, 4), st.sampled_from([0.05, 0.2, 0.6]), st.integers(1, 8))
def test_torch_finds_the_same_cores_and_clusters(seed, num, dims, eps, min_samples):
    points = torch.rand(num, dims, generator=torch.Generator().manual_seed(seed))
    for found, expected in zip(linked_cores(points, eps, min_samples), dbscan_cores(points, eps, min_samples), strict=True):
        assert torch.equal(found, expected)


def test_a_long_chain_is_one_cluster():
    chain = torch.arange(1000.0)[torch.randperm(1000, generator=torch.Generator().manual_seed(0)), None]
    assert linked_cores(chain, 1.1, 2)[1].eq(0).all()


@pytest.mark.parametrize('find', [dbscan_cores, linked_cores])
def test_noise_has_no_cores(find):
    rows, cluster = find(torch.eye(5), 0.5, 2)
    assert rows.shape == cluster.shape == (0,)
