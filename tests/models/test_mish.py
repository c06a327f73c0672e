import pytest
import torch
import torch.nn.functional as F

from mmext_instseg.models.layers import Mish


def test_by_hand():
    # e^x = 1: n = 3, x n / (n + 2) = 0; e^x = 2: n = 8, 0.8 log 2
    x = torch.tensor([0.0, 0.6931472])
    with torch.no_grad():
        torch.testing.assert_close(Mish()(x), torch.tensor([0.0, 0.8 * 0.6931472]))


def test_prediction_equals_torch_everywhere():
    x = torch.cat([torch.linspace(-120, 120, 100_001), torch.tensor([-1e38, -1e4, -0.0, 19.999, 20.0, 20.001, 88.8, 1e4, 1e38])])
    expected = F.mish(x.double())
    with torch.no_grad():
        ours = Mish()(x)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=1e-37)
    assert torch.isnan(Mish()(torch.tensor([float('nan')]))).all()


def test_input_stays_and_layout_too():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    before = x.clone()
    with torch.no_grad():
        out = Mish()(x)
    assert torch.equal(x, before)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_are_torch_s(dtype):
    x = torch.randn(50).to(dtype)
    with torch.no_grad():
        assert torch.equal(Mish()(x), F.mish(x))


def test_training_has_torch_s_gradient():
    x = torch.randn(50, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(Mish(), x)
    y = torch.randn(50, requires_grad=True)
    assert torch.equal(Mish()(y), F.mish(y))
