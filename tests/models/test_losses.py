import math

import pytest
import torch
from torch.autograd import gradcheck

from mmext_instseg.models.losses import EuclideanLoss, LogCoshLoss, half_mean_squared_error, log_cosh, reduce_loss


def equation_6(error: torch.Tensor, amplitude: float) -> torch.Tensor:
    return amplitude * (1 / (1 + torch.exp(-error)) - 0.5)


@pytest.mark.parametrize('amplitude', [1.0, 4.0, 10.0])
def test_gradient_is_equation_6(amplitude):
    error = torch.linspace(-30, 30, 601, dtype=torch.double, requires_grad=True)
    log_cosh(error, amplitude).sum().backward()
    torch.testing.assert_close(error.grad, equation_6(error.detach(), amplitude), atol=1e-6, rtol=0)
    assert error.grad[300].abs() < 1e-12  # odd, and linear with slope A / 4 around 0
    torch.testing.assert_close(error.grad[301] / 0.1, torch.tensor(amplitude / 4, dtype=torch.double), rtol=1e-3, atol=0)


def test_values_by_hand():
    expected = 4 * math.log(math.cosh(1.5))
    torch.testing.assert_close(log_cosh(torch.tensor([0.0, 3.0, -3.0])), torch.tensor([0.0, expected, expected]))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_finite_and_clipped_at_ten_thousand(dtype):
    pred = torch.tensor([1e4, -1e4], dtype=dtype, requires_grad=True)
    loss = LogCoshLoss(reduction='sum')(pred, torch.zeros(2))
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.tensor(2 * 4 * (5e3 - math.log(2))), rtol=1e-5, atol=0)
    assert pred.grad.tolist() == [2.0, -2.0]  # +-A / 2


@pytest.mark.parametrize('kind', [LogCoshLoss, EuclideanLoss])
def test_gradcheck_with_weights(kind):
    generator = torch.Generator().manual_seed(0)
    pred = torch.randn(2, 2, 3, 3, dtype=torch.double, generator=generator, requires_grad=True)
    target = torch.randn(2, 2, 3, 3, dtype=torch.double, generator=generator)
    weight = torch.rand(2, 1, 3, 3, dtype=torch.double, generator=generator)
    for reduction in ('mean', 'sum', 'images', 'none'):
        assert gradcheck(lambda p, r=reduction: kind(reduction=r)(p, target, weight), (pred,))


def test_sum_is_the_equation_to_the_letter_and_mean_divides_by_n():
    pred = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (by_sum,) = torch.autograd.grad(LogCoshLoss(reduction='sum')(pred, torch.zeros_like(pred)), pred)
    (by_mean,) = torch.autograd.grad(LogCoshLoss()(pred, torch.zeros_like(pred)), pred)
    torch.testing.assert_close(by_sum, equation_6(pred.detach(), 4.0))
    torch.testing.assert_close(by_mean * (2 * 2 * 4 * 5), by_sum)  # N = 2 n r c, Eq. 5


def test_the_baselines_gradient_is_caffes():
    pred, target = torch.randn(3, 2, 4, 5, requires_grad=True), torch.randn(3, 2, 4, 5)
    loss = EuclideanLoss(reduction='images')(pred, target)
    (gradient,) = torch.autograd.grad(loss, pred)
    torch.testing.assert_close(gradient, (pred.detach() - target) / 3)
    torch.testing.assert_close(loss.detach(), (pred.detach() - target).square().sum() / (2 * 3))  # Eq. 4 with n images


def test_both_losses_have_the_same_slope_at_zero():
    error = torch.tensor([[[[1e-3]]]])
    torch.testing.assert_close(EuclideanLoss()(error, error * 0), LogCoshLoss()(error, error * 0), rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize(('shape', 'amplitude'), [((512, 1024), 4.0), ((1024, 2048), 8.0), ((256, 512), 2.0)])
def test_the_amplitude_follows_the_resolution(shape, amplitude):
    pred = torch.full((1, 1, *shape), 1e4)
    scaled = LogCoshLoss(reference_shape=(512, 1024))(pred, torch.zeros(1))
    torch.testing.assert_close(scaled, LogCoshLoss(amplitude)(pred, torch.zeros(1)))


def test_mse_is_equation_4():
    pred, target = torch.tensor([[[[1.0, 4.0]], [[3.0, 0.0]]]]), torch.zeros(1, 2, 1, 2)
    everything, first = torch.ones(1, 1, 1, 2), torch.tensor([[[[2.0, 0.0]]]])
    assert half_mean_squared_error(pred, target, everything) == (1 + 16 + 9) / (2 * 4)
    assert half_mean_squared_error(pred, target, first) == (1 + 9) / (2 * 2)  # weights choose, they don't scale
    assert half_mean_squared_error(pred, target, everything * 0) == 0


def test_reduction_by_hand():
    loss, weight = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 2.0])
    assert reduce_loss(loss, 'none', weight).tolist() == [0, 2, 6]
    assert reduce_loss(loss, 'sum', weight) == 8
    torch.testing.assert_close(reduce_loss(loss, 'mean', weight), torch.tensor(8 / 3))
    assert reduce_loss(loss, 'mean', weight, avg_factor=4) == 2
    assert reduce_loss(loss.view(1, 3).expand(2, 3), 'images') == 6


def test_no_weight_gives_zero_and_a_zero_gradient():
    loss = torch.ones(3, requires_grad=True)
    nothing = reduce_loss(loss, 'mean', torch.zeros(3), avg_factor=torch.tensor(0.0))
    nothing.backward()
    assert nothing == 0 and loss.grad.tolist() == [0, 0, 0]
    assert reduce_loss(torch.zeros(0), 'mean') == 0


def test_misuse_is_named():
    with pytest.raises(ValueError, match='median'):
        reduce_loss(torch.ones(1), 'median')
    with pytest.raises(ValueError, match='avg_factor'):
        reduce_loss(torch.ones(1), 'sum', avg_factor=2)
