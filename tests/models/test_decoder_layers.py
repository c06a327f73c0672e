"""CoordConv2d, ICNRPixelShuffle, FiLM."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.upsample import PixelShufflePack
from torch import nn

from mmext_instseg.models.layers import CoordConv2d, FiLM, ICNRPixelShuffle


def test_coordinates_run_from_minus_one_to_one():
    conv = CoordConv2d(1, 3, 1, bias=False)
    assert conv.weight.shape == (3, 3, 1, 1)
    nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0] = conv.weight.data[1, 1] = conv.weight.data[2, 2] = 1
    image = torch.arange(24.0).view(2, 1, 3, 4)
    out = conv(image)
    assert torch.equal(out[:, :1], image)
    torch.testing.assert_close(out[1, 1], torch.tensor([-1, -1 / 3, 1 / 3, 1]).expand(3, 4))
    torch.testing.assert_close(out[0, 2], torch.tensor([-1.0, 0, 1])[:, None].expand(3, 4))


def test_coord_conv_in_a_conv_module_and_in_half_precision():
    module = ConvModule(2, 5, 3, padding=1, conv_cfg=dict(type=CoordConv2d), norm_cfg=dict(type='BN'))
    out = module(torch.randn(2, 2, 6, 4))
    out.sum().backward()
    assert out.shape == (2, 5, 6, 4) and isinstance(module.conv, CoordConv2d)
    assert module.bfloat16()(torch.randn(1, 2, 4, 4).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize('kernel', [1, 3])
@pytest.mark.parametrize('scale', [2, 3])
def test_icnr_starts_as_one_sub_filter_and_nearest_neighbour(kernel, scale):
    """Aitken et al., Section 3: the initial output is that of a convolution, resized by nearest neighbours."""
    torch.manual_seed(0)
    block = ICNRPixelShuffle(4, 5, scale, kernel)
    images = torch.randn(2, 4, 6, 7)
    for _ in range(2):
        assert not block.upsample_conv.bias.any()
        single = F.conv2d(images, block.upsample_conv.weight[:: scale**2], padding=kernel // 2)
        assert single.std() > 0.1 and single.shape[1] == 5
        torch.testing.assert_close(block(images), F.interpolate(single, scale_factor=scale, mode='nearest'))
        block.init_weights()


def test_without_icnr_it_starts_as_a_checkerboard():
    torch.manual_seed(0)
    out = PixelShufflePack(4, 5, 2, 3)(torch.randn(1, 4, 6, 7))
    assert (out[..., ::2] - out[..., 1::2]).abs().mean() > 0.1


def test_sub_filters_start_as_wide_as_a_convolution_of_that_many_outputs():
    """Xavier, uniform: a deviation of sqrt(2 / (fan in + fan out))."""
    block = ICNRPixelShuffle(64, 32, 2, 3)
    assert block.upsample_conv.weight.std().item() == pytest.approx((2 / (9 * 64 + 9 * 32)) ** 0.5, rel=0.02)


def test_icnr_is_free_to_learn():
    block = ICNRPixelShuffle(2, 3, 2, 3)
    (block(torch.randn(1, 2, 4, 4)) * torch.randn(1, 3, 8, 8)).sum().backward()
    grad = block.upsample_conv.weight.grad
    assert not torch.allclose(grad[0], grad[1])


def test_film():
    film = FiLM(2, 3)
    nn.init.zeros_(film.mul.bias)
    nn.init.zeros_(film.add.bias)
    film.mul.weight.data = torch.tensor([[1.0, 0], [0, 2], [1, 1]])
    film.add.weight.data = torch.tensor([[0.0, 1], [0, 0], [-1, 0]])
    tokens = torch.tensor([[[1.0, 1, 1], [2, 3, 4]], [[1, 1, 1], [0, 0, 0]]])
    out = film(tokens, torch.tensor([[1.0, 3], [2, 0]]))
    assert torch.equal(out, torch.tensor([[[4.0, 6, 3], [5, 18, 15]], [[2, 0, 0], [0, 0, -2]]]))
