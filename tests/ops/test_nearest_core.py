import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.ops import nearest_core

MODULE = sys.modules[nearest_core.__module__]  # the package's name for it is that of the function


def brute_force(points, cores, cluster, radius):
    distance = torch.cdist(points.double(), cores.double())
    nearest, core = distance.min(dim=1)
    return torch.where(nearest <= radius, cluster[core], -1), nearest


def blobs(seed, num_points, num_cores, num_clusters, dims, spread):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(num_clusters, dims, generator=generator)
    cluster = torch.cat([torch.arange(num_clusters), torch.randint(num_clusters, (num_cores - num_clusters,), generator=generator)])
    cluster = cluster.sort().values
    owner = torch.randint(num_clusters, (num_points,), generator=generator)
    cores = means[cluster] + spread * torch.randn(num_cores, dims, generator=generator)
    return means[owner] + spread * torch.randn(num_points, dims, generator=generator), cores, cluster


def check(points, cores, cluster, num_clusters, radius, enough=0.0):
    found, distance = nearest_core(points, cores, cluster, num_clusters, radius, enough)
    expected, exact = brute_force(points, cores, cluster, radius)
    assert found.dtype == torch.int64
    settled = (exact <= radius) & (distance > enough)
    torch.testing.assert_close(distance[settled].double(), exact[settled], rtol=1e-4, atol=1e-3)
    assert (distance > exact - 1e-3).all()
    # Where the two nearest clusters tie to rounding, either will do
    gap = torch.cdist(points.double(), cores.double())
    gap = gap.masked_fill(cluster == cluster[gap.argmin(dim=1)][:, None], torch.inf).amin(dim=1) - exact
    sure = (gap > 1e-4) & ((exact - radius).abs() > 1e-4)
    assert torch.equal(found[sure], expected[sure])


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**31),
    st.integers(1, 700),
    st.integers(1, 20),
    st.integers(0, 200),
    st.integers(1, 8),
    st.sampled_from([0.01, 0.3, 1.0]),
    st.sampled_from([0.1, 0.7, 2.0]),
    st.booleans(),
    st.booleans(),
)
def test_equals_brute_force_wherever_clusters_lie(seed, num_points, num_clusters, more, dims, spread, radius, early, own):
    points, cores, cluster = blobs(seed, num_points, num_clusters + more, num_clusters, dims, spread)
    enough = radius / 2 if early else 0.0
    if own:
        radius = radius * (0.5 + torch.rand(num_points, generator=torch.Generator().manual_seed(seed)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, '_FEW', 8)
        patch.setattr(MODULE, '_MANY', 5)
        check(points, cores, cluster, num_clusters, radius, enough)


def test_a_long_cluster_around_a_small_one():
    # The mean of the ring is the small cluster, so that means alone would mislead.
    angle = torch.linspace(0, 6.28, 400)
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    small = torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    cluster = torch.tensor([0] * 400 + [1] * 2)
    points = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    check(points, torch.cat([ring, small]), cluster, 2, 0.3)


def test_points_in_order_ask_their_neighbours(monkeypatch):
    points, cores, cluster = blobs(1, 6000, 600, 300, 8, 0.01)
    points = points[torch.cdist(points, cores).argmin(dim=1).argsort()]  # in runs, as the pixels of an image
    asked, search = [], MODULE._search_means
    monkeypatch.setattr(MODULE, '_search_means', lambda one, means: (asked.append(len(one)), search(one, means))[1])
    check(points, cores, cluster, 300, 0.5)
    assert asked[0] == 300 and asked[1] < 600, 'the means among each other, then what its neighbours leave open'


@pytest.mark.parametrize('rows', [1, 7, 64, 10_000])
def test_chunks_change_nothing(monkeypatch, rows):
    points, cores, cluster = blobs(3, 900, 120, 9, 5, 0.5)
    expected, exact = nearest_core(points, cores, cluster, 9, 1.0)
    monkeypatch.setattr(MODULE, '_ROWS', rows)
    found, distance = nearest_core(points, cores, cluster, 9, 1.0)
    assert torch.equal(found, expected)
    torch.testing.assert_close(distance, exact, rtol=1e-5, atol=1e-6)


def test_few_points_see_all_cores(monkeypatch):
    points, cores, cluster = blobs(0, 3000, 500, 10, 32, 0.02)
    sizes = []
    monkeypatch.setattr(MODULE, '_squared', lambda p, c, right=MODULE._squared: sizes.append(len(p) * len(c)) or right(p, c))
    found, _ = nearest_core(points, cores, cluster, 10, 1.0)
    assert (found >= 0).all()
    assert sum(sizes) < 3000 * 500 / 2


def test_nothing_to_find():
    none = torch.zeros(0, 4)
    found, distance = nearest_core(torch.zeros(3, 4), none, torch.zeros(0, dtype=torch.int64), 0, 1.0)
    assert found.tolist() == [-1, -1, -1] and distance.isinf().all()
    found, distance = nearest_core(none, torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64), 1, 1.0)
    assert found.shape == distance.shape == (0,)


def test_a_core_at_the_radius_counts():
    found, distance = nearest_core(torch.tensor([[3.0], [3.5]]), torch.tensor([[1.0]]), torch.tensor([0]), 1, 2.0)
    assert found.tolist() == [0, -1] and distance.tolist() == [2.0, 2.5]
