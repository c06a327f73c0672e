"""What every loss of dense targets must satisfy; a test class inherits it and says what the loss reads."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from mmext_instseg.models.losses import reduction


class LossContract:
    """Subclasses give the module, a prediction, and two sets of further arguments."""

    def build(self, **kwargs) -> nn.Module:
        raise NotImplementedError

    def make_pred(self) -> Tensor:
        """(2, C, H, W) float64."""
        raise NotImplementedError

    def targets(self) -> tuple:
        """Arguments after the prediction; both images count."""
        raise NotImplementedError

    def nothing(self) -> tuple:
        """The same, but no pixel counts."""
        raise NotImplementedError

    def test_gradcheck(self):
        assert gradcheck(lambda pred: self.build()(pred, *self.targets()), (self.make_pred().requires_grad_(),))

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_float32_in_half_precision(self, dtype):
        half = self.make_pred().to(dtype).requires_grad_()
        with torch.autocast('cpu', dtype=dtype):
            loss = self.build()(half, *self.targets())
        loss.backward()
        assert loss.dtype == torch.float32 and half.grad.dtype == dtype and torch.isfinite(half.grad).all() and half.grad.any()
        torch.testing.assert_close(loss, self.build()(half.float(), *self.targets()), rtol=1e-6, atol=0)

    def test_where_nothing_counts_the_loss_is_0_and_touches_the_prediction(self):
        pred = self.make_pred().requires_grad_()
        loss = self.build()(pred, *self.nothing())
        loss.backward()
        assert loss == 0 and pred.grad is not None and not pred.grad.any()

    def test_the_ranks_divide_by_one_number(self, monkeypatch):
        alone = self.build()(self.make_pred(), *self.targets())
        monkeypatch.setattr(reduction, 'reduce_mean', lambda total: 2 * total)  # the other ranks hold three times as much
        torch.testing.assert_close(self.build()(self.make_pred(), *self.targets()), alone / 2)

    def test_loss_weight(self):
        single = self.build()(self.make_pred(), *self.targets())
        torch.testing.assert_close(self.build(loss_weight=3.0)(self.make_pred(), *self.targets()), 3 * single)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal float64 values."""
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
