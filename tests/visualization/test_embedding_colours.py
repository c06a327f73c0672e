"""Embeddings as colours, on clusters whose principal components are known."""

import numpy as np
import torch

from mmext_instseg.visualization import embedding_colours


def clusters(means: torch.Tensor, noise: float = 0.0, side: int = 20) -> torch.Tensor:
    """(d, side, K * side): a square for each of the means (K, d)."""
    embedding = means.T.repeat_interleave(side, dim=1)[:, None].expand(-1, side, -1)
    return embedding + noise * torch.randn(embedding.shape, generator=torch.Generator().manual_seed(0))


def everywhere(embedding: torch.Tensor) -> torch.Tensor:
    return torch.ones(embedding.shape[1:], dtype=torch.bool)


def test_three_orthogonal_axes_by_hand():
    """Variances 16 > 4 > 1: red, green and blue are these axes, in proportion 4 : 2 : 1, the mean in the middle."""
    axes = torch.zeros(6, 5)
    axes[0, 3], axes[1, 3] = 4, -4
    axes[2, 0], axes[3, 0] = 2, -2
    axes[4, 4], axes[5, 4] = 1, -1
    picture = embedding_colours(clusters(axes + 7), torch.ones(20, 120, dtype=torch.bool))
    found = picture[0, ::20].astype(int)
    half = 127.5
    expected = half + half * np.array([[1, 0, 0], [-1, 0, 0], [0, 0.5, 0], [0, -0.5, 0], [0, 0, 0.25], [0, 0, -0.25]])
    assert np.abs(np.sort(found, axis=0) - np.sort(expected, axis=0)).max() <= 1, 'but for the signs'
    assert (np.abs(found - half).argmax(axis=1) == [0, 0, 1, 1, 2, 2]).all()


def test_clusters_have_distinct_colours():
    means = 4 * torch.rand(8, 32, generator=torch.Generator().manual_seed(1))
    picture = embedding_colours(clusters(means, noise=0.05), torch.ones(20, 160, dtype=torch.bool)).astype(float)
    squares = picture.reshape(20, 8, 20, 3).transpose(1, 0, 2, 3).reshape(8, 400, 3)
    middle = squares.mean(axis=1)
    apart = np.linalg.norm(middle[:, None] - middle, axis=2)[np.triu_indices(8, 1)]
    within = np.linalg.norm(squares - middle[:, None], axis=2).max()
    assert apart.min() > 2 * within


def test_noise_around_two_clusters_stays_faint():
    means = torch.tensor([[0.0] * 8, [2.0] * 8])
    picture = embedding_colours(clusters(means, noise=0.05), torch.ones(20, 40, dtype=torch.bool)).astype(float)
    assert picture[..., 1:].std() < 0.1 * picture[..., 0].std()


def test_deterministic_and_independent_of_the_place():
    embedding = clusters(torch.rand(4, 6, generator=torch.Generator().manual_seed(2)), noise=0.1)
    picture = embedding_colours(embedding, everywhere(embedding))
    assert (embedding_colours(embedding + 3, everywhere(embedding)).astype(int) - picture).max() <= 1
    assert (embedding_colours(embedding.flip(2), everywhere(embedding))[:, ::-1].astype(int) - picture).max() <= 1


def test_only_the_foreground_counts():
    embedding = clusters(torch.tensor([[0.0, 0, 0], [1, 0, 0], [500, 900, 100]]))
    foreground = everywhere(embedding)
    foreground[:, 40:] = False
    picture = embedding_colours(embedding, foreground)
    assert (picture[:, 40:] == 255).all()
    assert sorted(picture[0, [0, 20], 0].tolist()) == [0, 255] and (picture[:, :40, 1:] == 128).all()


def test_strays_do_not_set_the_range():
    embedding = clusters(torch.tensor([[0.0, 0], [1, 0]]))
    embedding[:, 0, 0] = torch.tensor([9.0, 0])
    picture = embedding_colours(embedding, everywhere(embedding))
    assert sorted(picture[5, [5, 25], 0].tolist()) == [0, 255]


def test_odd_contents():
    embedding = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(4, 5, dtype=torch.bool)
    assert (embedding_colours(embedding, nothing) == 255).all()
    one = nothing.clone()
    one[2, 3] = True
    assert embedding_colours(embedding, one)[2, 3].tolist() == [150, 150, 150]
    assert (embedding_colours(torch.ones(1, 4, 5), ~nothing) == 128).all()
    embedding[0, 0, 0], embedding[1, 1, 1] = float('nan'), float('inf')
    picture = embedding_colours(embedding.half(), ~nothing)
    assert picture[0, 0].tolist() == picture[1, 1].tolist() == [150, 150, 150]
    assert picture[..., :2].min() == 0 and (picture[2:, :, 2] == 128).all(), 'two channels have no third component'
