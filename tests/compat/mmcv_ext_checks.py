"""What the tests of the mmcv._ext fallback share."""

import mmcv._ext
import pytest
import torch

needs_fallback = pytest.mark.skipif('mmcv_ext' not in mmcv._ext.__file__, reason='mmcv has compiled ops here, so the fallback is not used')
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]


def assert_same_gradients(ours, reference, inputs):
    """Same value and same gradients for all inputs, under one random weighting of the output."""
    values, grads = [], []
    for function in (ours, reference):
        leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
        value = function(*leaves)
        torch.manual_seed(1)
        values.append(value.detach())
        grads.append(torch.autograd.grad(value, leaves, torch.randn(value.shape, dtype=value.dtype).to(value.device)))
    torch.testing.assert_close(*values)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
        assert one.abs().sum() > 0
