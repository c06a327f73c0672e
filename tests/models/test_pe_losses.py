"""The pixel loss of centroid codes and total variation."""

import math

import pytest
import torch
from loss_contract import LossContract, noise

from mmext_instseg.models.losses import PositionalEmbeddingLoss, TotalVariationLoss


class TestPositionalEmbeddingLoss(LossContract):
    def build(self, **kwargs):
        return PositionalEmbeddingLoss(**kwargs)

    def make_pred(self):
        return noise(2, 8, 3, 4)

    def targets(self):
        return noise(2, 8, 3, 4, seed=1), noise(2, 3, 4, seed=2).abs()

    def nothing(self):
        return noise(2, 8, 3, 4, seed=1), torch.zeros(2, 3, 4)

    def test_equation_4_by_hand(self):
        pred = torch.tensor([3.0, 4, 0, 12]).view(1, 4, 1, 1)  # |(3, 4)| = 5, |(0, 12)| = 12
        assert PositionalEmbeddingLoss()(pred, torch.zeros(1, 4, 1, 1)) == (5 + 12) / 2
        assert PositionalEmbeddingLoss()(pred, torch.tensor([0.0, 0, 0, 12]).view(1, 4, 1, 1)) == 5 / 2

    def test_equation_1_by_hand(self):
        pred = torch.zeros(2, 2, 1, 2)
        pred[:, 0] = torch.tensor([[[2.0, 4.0]], [[6.0, 8.0]]])  # losses 1, 2, 3, 4
        weight = torch.tensor([[[1.0, 0.5]], [[0.0, 0.5]]])
        loss = PositionalEmbeddingLoss()
        assert loss(pred, torch.zeros(2, 2, 1, 2), weight) == (1 + 0.5 * 2 + 0.5 * 4) / 2
        assert loss(pred, torch.zeros(2, 2, 1, 2)) == (1 + 2 + 3 + 4) / 4

    def test_the_gradient_at_no_error_is_0(self):
        pred = torch.ones(1, 4, 2, 2, requires_grad=True)
        target = torch.ones(1, 4, 2, 2)
        target[:, 2:, 0, 0] = 0  # v is wrong in one pixel
        PositionalEmbeddingLoss()(pred, target).backward()
        expected = torch.zeros(1, 4, 2, 2)
        expected[:, 2:, 0, 0] = 1 / math.sqrt(2) / 2 / 4  # unit vector, half, four pixels
        torch.testing.assert_close(pred.grad, expected)

    def test_an_odd_number_of_channels_is_named(self):
        with pytest.raises(ValueError, match='3 channels'):
            PositionalEmbeddingLoss()(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize('kind', ['norm', 'cross_entropy'])
class TestTotalVariationLoss(LossContract):
    @pytest.fixture(autouse=True)
    def choose(self, kind):
        self.kind = kind

    def build(self, **kwargs):
        return TotalVariationLoss(self.kind, **kwargs)

    def make_pred(self):
        return noise(2, 3, 4, 5)

    def targets(self):
        valid = torch.ones(2, 4, 5, dtype=torch.bool)
        valid[0, :, 4] = valid[1, 3] = False
        return (valid,)

    def nothing(self):
        return (torch.zeros(2, 4, 5, dtype=torch.bool),)

    def test_padding_changes_nothing(self):
        inner = noise(2, 3, 4, 5)
        padded = torch.nn.functional.pad(inner, (0, 3, 0, 2), value=7.0)
        valid = torch.zeros(2, 6, 8, dtype=torch.bool)
        valid[:, :4, :5] = True
        torch.testing.assert_close(self.build()(padded, valid), self.build()(inner))

    def test_a_single_row_has_no_pixel_with_both_neighbours(self):
        assert self.build()(noise(1, 3, 1, 5)) == 0


def test_equation_10_by_hand():
    pred = torch.zeros(1, 2, 2, 3)
    pred[0, :, 1, 1] = torch.tensor([3.0, 4.0])
    # (1, 1): 5 to the pixel above, 5 to the left one; (1, 2): 0 above, 5 to the left
    assert TotalVariationLoss()(pred) == (10 + 5) / 2
    valid = torch.tensor([[[True, True, True], [False, True, True]]])
    assert TotalVariationLoss()(pred, valid) == 5  # (1, 1) has lost its left neighbour


def test_equation_10s_gradient_is_finite_where_neighbours_agree():
    pred = torch.ones(1, 2, 3, 3, requires_grad=True)
    TotalVariationLoss()(pred).backward()
    assert not pred.grad.any()


def test_equation_11_by_hand():
    probs = torch.tensor([[0.5, 0.75, 0.75], [0.25, 0.5, 0.5]])
    logits = torch.stack([probs, 1 - probs]).log()[None]

    def cross_entropy(a: float, b: float) -> float:
        return -a * math.log(b) - (1 - a) * math.log(1 - b)

    first = (cross_entropy(0.5, 0.25) + cross_entropy(0.5, 0.75)) / 2
    second = (cross_entropy(0.75, 0.5) + cross_entropy(0.75, 0.75)) / 2
    torch.testing.assert_close(TotalVariationLoss('cross_entropy')(logits + 5), torch.tensor((first + second) / 2))


def test_certain_and_equal_logits_cost_nothing():
    logits = torch.tensor([1e4, -1e4, -1e4]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert TotalVariationLoss('cross_entropy')(logits) == 0


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="'l1'"):
        TotalVariationLoss('l1')


def test_one_part_is_the_distance_of_the_whole_vectors():
    """The RGB codes of Appendix C."""
    pred = torch.tensor([1.0, 2.0, 2.0]).view(1, 3, 1, 1)
    loss = PositionalEmbeddingLoss(parts=1)
    torch.testing.assert_close(loss(pred, torch.zeros_like(pred)), torch.tensor(3.0))
    torch.testing.assert_close(loss(pred, torch.zeros_like(pred), avg_factor=torch.tensor(6.0)), torch.tensor(0.5))
