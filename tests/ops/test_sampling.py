import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.ops import sample_bilinear, sample_ids, sample_nearest
from mmext_instseg.structures import InstanceMap

sizes = st.integers(1, 12)


@settings(deadline=None)
@given(height=sizes, width=sizes, out_height=sizes, out_width=sizes)
def test_whole_maps_are_sampled_as_torch_does(height, width, out_height, out_width):
    values = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
    expected = F.interpolate(values, size=(out_height, out_width), mode='bilinear', align_corners=False)
    torch.testing.assert_close(sample_bilinear(values, (out_height, out_width)), expected)


@settings(deadline=None)
@given(height=sizes, width=sizes, factor=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_part_is_sampled_as_if_cut_out(height, width, factor, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, height, width, generator=generator)
    ids = torch.randint(-1, 3, (height, width), generator=generator, dtype=torch.int32)
    rows, cols = (int(torch.randint(1, size + 1, (), generator=generator)) for size in (height, width))
    shape, part = (rows * factor, cols * factor), (rows / height, cols / width)
    torch.testing.assert_close(sample_bilinear(values, shape, part), sample_bilinear(values[:, :rows, :cols], shape))
    assert torch.equal(sample_ids(ids, shape, part), sample_ids(ids[:rows, :cols], shape))


@settings(deadline=None)
@given(height=sizes, width=sizes, out_height=sizes, out_width=sizes, seed=st.integers(0, 99))
def test_ids_are_the_best_of_interpolated_masks(height, width, out_height, out_width, seed):
    ids = torch.randint(-1, 4, (height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    found = sample_ids(ids, (out_height, out_width))
    shares = sample_bilinear(InstanceMap.from_ids(ids, torch.zeros(3)).masks().float(), (out_height, out_width))
    total = shares.sum(dim=0)
    clear = (total - 0.5).abs() > 1e-4
    assert torch.equal((found > 0)[clear], (total > 0.5)[clear])
    chosen = shares.gather(0, (found.long() - 1).clamp(min=0)[None])[0]
    torch.testing.assert_close(chosen[found > 0], shares.amax(dim=0)[found > 0])


def test_a_border_between_objects_by_hand():
    ids = torch.tensor([[1, 2]], dtype=torch.int32)
    # At 5 columns the centres lie at -0.3 (held at 0), 0.1, 0.5 (a tie: the left one), 0.9 and 1.3 (held at 1).
    assert sample_ids(ids, (1, 5)).tolist() == [[1, 1, 1, 2, 2]]


def test_two_small_shares_of_one_object_beat_a_larger_one_of_another():
    ids = torch.tensor([[1, 2], [2, 0]], dtype=torch.int32)
    # The middle pixel is a quarter of each corner; those beside it are ties, between objects and with none.
    assert sample_ids(ids, (3, 3)).tolist() == [[1, 1, 2], [1, 2, 0], [2, 0, 0]]


def test_foreground_decides_where_objects_are_but_makes_none():
    ids = torch.tensor([[1, 0, 0, 0]], dtype=torch.int32)
    everywhere = torch.ones(1, 8, dtype=torch.bool)
    assert sample_ids(ids, (1, 8)).tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]]
    assert sample_ids(ids, (1, 8), foreground=everywhere).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]]
    assert sample_ids(ids, (1, 8), foreground=~everywhere).sum() == 0


@pytest.mark.parametrize('foreground', [None, torch.tensor([[True, False, True]])])
def test_at_its_own_size_nothing_moves(foreground):
    ids, values = torch.tensor([[1, 2, -1]], dtype=torch.int32), torch.randn(2, 1, 3)
    assert sample_ids(ids, (1, 3), foreground=foreground).tolist() == [[1, 2 if foreground is None else 0, 0]]
    assert sample_bilinear(values, (1, 3)) is values


def test_gradients_pass_through_samples():
    values = torch.randn(2, 3, 4, dtype=torch.float32, requires_grad=True)
    sample_bilinear(values, (5, 7), (0.5, 0.75)).sum().backward()
    torch.testing.assert_close(values.grad.sum(), torch.tensor(70.0))


def test_nearest_takes_the_pixel_that_holds_each_centre():
    values = torch.arange(6).view(1, 6)
    assert sample_nearest(values, (1, 4)).tolist() == [[0, 2, 3, 5]]  # centres 0.75, 2.25, 3.75, 5.25
    assert sample_nearest(values, (2, 9))[1].tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 5]
    assert sample_nearest(values, (1, 6)) is values
