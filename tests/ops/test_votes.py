import math

import pytest
import torch

from mmext_instseg.ops import find_peaks, nearest_peak, smooth_votes, vote_histogram


def test_histogram_cells_and_margin_by_hand():
    votes = torch.tensor([[0.0, 0.0], [0.49, 0.0], [0.51, 0.0], [3.0, 1.0], [-1.0, 0.0], [-9.0, 0.0], [float('inf'), 0.0]])
    counts, index = vote_histogram(votes, torch.zeros(7, dtype=torch.int64), (1, 2, 4), margin=1)
    assert counts[0].tolist() == [[0] * 6, [1, 2, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0] * 6]
    assert index.tolist() == [7, 7, 8, 16, 6, 24, 24]  # 24 = nowhere


def test_histogram_with_larger_cells_and_two_images():
    votes = torch.tensor([[0.0, 0.0], [1.4, 1.4], [1.6, 0.0], [4.0, 0.0]])
    counts, _ = vote_histogram(votes, torch.tensor([0, 0, 0, 1]), (2, 2, 5), cell=2.0)
    assert counts.tolist() == [[[2, 1, 0]], [[0, 0, 1]]]


def test_smoothing_keeps_the_count_and_ends_at_the_radius():
    counts = torch.zeros(1, 9, 9, dtype=torch.int64)
    counts[0, 4, 4] = 3
    smooth = smooth_votes(counts, radius=2)
    assert smooth[0, 4, 4] == 3
    torch.testing.assert_close(smooth[0, 4, 6], torch.tensor(3 * math.exp(-2)))
    assert smooth[0, 4, 7] == 0 and smooth[0, 1, 4] == 0
    assert torch.equal(smooth_votes(counts, radius=0), counts.float())


def test_peaks_of_a_plateau_a_slope_and_a_low_hill():
    heat = torch.zeros(2, 7, 7)
    heat[0, 1, 1] = heat[0, 1, 2] = 5.0  # plateau: its last cell
    heat[0, 5, 5], heat[0, 5, 6] = 4.0, 3.0
    heat[1, 3, 3] = 0.5  # below the threshold
    assert find_peaks(heat, radius=1, threshold=1.0).tolist() == [[0, 1, 2], [0, 5, 5]]
    assert find_peaks(torch.zeros(1, 3, 3), radius=1, threshold=1.0).shape == (0, 3)


@pytest.mark.parametrize('chunk', [2**21, 1, 500])
def test_nearest_peak_equals_brute_force(chunk, monkeypatch):
    monkeypatch.setattr('mmext_instseg.ops.votes._CHUNK', chunk)
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(2, 23, 31, generator=generator)
    peaks = find_peaks(heat, radius=2, threshold=0.8)
    table = nearest_peak(peaks, heat.shape, radius=5)
    y, x = torch.meshgrid(torch.arange(23), torch.arange(31), indexing='ij')
    for image in range(2):
        squared = (y[..., None] - peaks[:, 1]) ** 2 + (x[..., None] - peaks[:, 2]) ** 2
        squared = torch.where(peaks[:, 0] == image, squared, 10**6)
        best, row = squared.min(dim=-1)
        row = (squared == best[..., None]).int().argmax(dim=-1)  # the earlier row on a tie
        assert torch.equal(table[image], torch.where(best <= 25, row + 1, 0))
    assert not nearest_peak(peaks[:0], heat.shape, radius=5).any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_smoothing_counts_exactly_under_autocast(dtype):
    counts = torch.zeros(1, 5, 5, dtype=torch.int64)
    counts[0, 2, 2], counts[0, 2, 4] = 70_001, 1
    with torch.autocast('cpu', dtype=dtype):
        smooth = smooth_votes(counts, radius=1)
    assert smooth.dtype == torch.float32 and smooth[0, 2, 2] == 70_001
