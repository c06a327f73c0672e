import math

import pytest
import torch
from loss_contract import LossContract, noise

from mmext_instseg.models.losses import AffineInvariantDepthLoss, SiLogDepthLoss


class DepthContract(LossContract):
    def make_pred(self):
        return noise(2, 1, 3, 4).abs() + 0.1

    def targets(self):
        target = noise(2, 1, 3, 4, seed=1).abs() + 0.1
        target[0, 0, 0], target[1, 0, 2, 3] = 0, -1  # eight and eleven valid pixels
        return (target,)

    def nothing(self):
        return (torch.zeros(2, 1, 3, 4),)

    def test_unknown_pixels_and_images_without_any_known_are_left_out(self):
        pred, (target,) = self.make_pred(), self.targets()
        alone = self.build()(pred[1:], target[1:])
        target[0] = 0
        pred[:, :, 2, 3] = 100.0  # unknown in both
        torch.testing.assert_close(self.build()(pred, target), alone)

    @pytest.mark.parametrize('value', [math.inf, -math.inf, math.nan])
    def test_targets_that_are_not_finite_are_unknown(self, value):
        pred, (target,) = self.make_pred().requires_grad_(), self.targets()
        expected = self.build()(pred, target)
        (gradient,) = torch.autograd.grad(expected, pred)
        loss = self.build()(pred, torch.where(target > 0, target, value))
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(torch.autograd.grad(loss, pred), (gradient,))
        half = torch.full((1, 1, 3, 4), value, dtype=torch.half)
        assert self.build()(pred[:1], half) == 0 and not torch.autograd.grad(self.build()(pred[:1], half), pred)[0].any()

    def test_images_count_alike_whatever_they_know(self):
        pred, (target,) = self.make_pred(), self.targets()
        single = [self.build()(pred[i : i + 1], target[i : i + 1]) for i in range(2)]
        torch.testing.assert_close(self.build()(pred, target), sum(single) / 2)


class TestAffineInvariantDepthLoss(DepthContract):
    def build(self, **kwargs):
        return AffineInvariantDepthLoss(**kwargs)

    def test_equations_6_to_8_by_hand(self):
        pred = torch.tensor([[1.0, 2, 3, 10, 99]])
        target = torch.tensor([[1.0, 5, 5, 9, 0]])
        # pred: median 2.5, deviations -1.5, -0.5, 0.5, 7.5, mean 2.5; target: median 5, deviations -4, 0, 0, 4, mean 2
        expected = sum(abs(a / 2.5 - b / 2) for a, b in zip((-1.5, -0.5, 0.5, 7.5), (-4, 0, 0, 4), strict=True)) / 4
        torch.testing.assert_close(AffineInvariantDepthLoss()(pred, target), torch.tensor(expected))

    def test_the_median_of_an_odd_count_by_hand(self):
        pred, target = torch.tensor([[4.0, 0, 1]]), torch.tensor([[1.0, 2, 3]])
        # pred: median 1, deviations 3, -1, 0, mean 4 / 3; target: median 2, deviations -1, 0, 1, mean 2 / 3
        expected = (abs(9 / 4 + 3 / 2) + 3 / 4 + 3 / 2) / 3
        torch.testing.assert_close(AffineInvariantDepthLoss()(pred, target), torch.tensor(expected))

    def test_scale_and_shift_of_either_are_free(self):
        pred, (target,) = self.make_pred(), self.targets()
        loss = AffineInvariantDepthLoss()
        torch.testing.assert_close(loss(7 * pred - 3, torch.where(target > 0, 100 * target + 5, 0)), loss(pred, target))
        torch.testing.assert_close(loss(2 * target + 1, target), torch.zeros((), dtype=torch.double), atol=1e-9, rtol=0)

    def test_without_a_scale_the_aligned_map_is_0(self):
        target = torch.tensor([[1.0, 2, 3, 4, 6]])  # |aligned| is 1 on average, by Eq. 8
        pred = torch.full((1, 5), 0.3, requires_grad=True)
        loss = AffineInvariantDepthLoss()(pred, target)
        loss.backward()
        torch.testing.assert_close(loss.detach(), torch.tensor(1.0))
        assert torch.isfinite(pred.grad).all() and pred.grad[0, 4] < 0 < pred.grad[0, 0]  # a way out of the constant
        torch.testing.assert_close(AffineInvariantDepthLoss()(target, torch.full((1, 5), 2.0)), torch.tensor(1.0))


class TestSiLogDepthLoss(DepthContract):
    def build(self, **kwargs):
        return SiLogDepthLoss(**kwargs)

    def test_equation_9_by_hand(self):
        pred, target = torch.tensor([[math.e, math.e**2, 5.0]]), torch.tensor([[1.0, 1.0, 0.0]])
        # d = 1, 2: mean of squares 2.5, mean 1.5
        torch.testing.assert_close(SiLogDepthLoss()(pred, target), torch.tensor(2.5 - 0.5 * 1.5**2))
        torch.testing.assert_close(SiLogDepthLoss(variance_focus=1.0)(pred, target), torch.tensor(0.25))

    @pytest.mark.parametrize(('focus', 'share'), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
    def test_lambda_is_how_much_of_the_scale_is_free(self, focus, share):
        target = torch.rand(2, 1, 3, 4, generator=torch.Generator().manual_seed(0)) + 0.5
        expected = torch.tensor(share * math.log(3) ** 2)
        torch.testing.assert_close(SiLogDepthLoss(focus)(3 * target, target), expected, atol=1e-6, rtol=1e-5)

    def test_predictions_of_0_are_finite(self):
        pred = torch.tensor([[0.0, -1.0]], requires_grad=True)
        loss = SiLogDepthLoss(variance_focus=0.0)(pred, torch.tensor([[1.0, 1.0]]))
        loss.backward()
        torch.testing.assert_close(loss.detach(), torch.tensor(math.log(1e-3) ** 2))
        assert torch.isfinite(pred.grad).all()


del DepthContract, LossContract  # pytest would collect them as tests
