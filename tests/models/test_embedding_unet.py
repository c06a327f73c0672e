import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn
from trunk_checks import run_trunk

from mmext_instseg.models.backbones import EmbeddingUNet
from mmext_instseg.registry import MODELS


@pytest.mark.parametrize('levels', [3, 4, 5])
def test_outputs_by_stride(levels):
    model = EmbeddingUNet(base_channels=4, num_levels=levels).eval()
    outs = model(torch.randn(2, 3, 64, 96))
    assert model.out_channels == tuple(out.shape[1] for out in outs)
    for index, out in enumerate(outs):
        stride = 2 ** (levels - 1 - index)
        assert out.shape == (2, 4 * stride, 64 // stride, 96 // stride)


def test_widths_of_the_paper():
    model = EmbeddingUNet()
    first = [down[0] for down in model.downs] + [model.bottleneck[0]]
    assert [(block.in_channels, block.out_channels) for block in first] == [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    assert [(up.up.in_channels, up.up.out_channels) for up in model.ups] == [(1024, 512), (512, 256), (256, 128), (128, 64)]
    assert [(up.reduce.in_channels, up.reduce.out_channels, up.reduce.kernel_size) for up in model.ups] == [
        (1024, 512, (1, 1)),
        (512, 256, (1, 1)),
        (256, 128, (1, 1)),
        (128, 64, (1, 1)),
    ]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 2 * 4 + 2 + 3 * 4
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == len(convolutions) and {(norm.momentum, norm.eps) for norm in norms} == {(0.1, 1e-5)}


def dropouts(module: nn.Module) -> list[float]:
    return [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]


@pytest.mark.parametrize('levels', [3, 4, 5])
def test_dropout_is_everywhere_but_at_the_first_and_last_level(levels):
    model = EmbeddingUNet(base_channels=4, num_levels=levels)
    assert [len(dropouts(down)) for down in model.downs] == [0] + [2] * (levels - 1)
    assert [len(dropouts(up)) for up in model.ups] == [2] * (levels - 1) + [0]
    assert dropouts(model) == [0.3] * 4 * (levels - 1)
    for stage in (*model.downs[1:], *(up.convs for up in model.ups[:-1])):
        assert [type(layer).__name__ for layer in stage] == ['ConvModule', 'Dropout'] * 2
    channelwise = [layer for layer in model.modules() if isinstance(layer, nn.Dropout2d)]
    assert channelwise == [model.bottleneck[-1]] and channelwise[0].p == 0.5


def test_dropout_at_0_is_left_out():
    model = EmbeddingUNet(base_channels=4, dropout=0.0, bottleneck_dropout=0.0)
    assert not [layer for layer in model.modules() if isinstance(layer, (nn.Dropout, nn.Dropout2d))]
    outs = model(torch.randn(2, 3, 32, 32)), EmbeddingUNet(base_channels=4)(torch.randn(2, 3, 32, 32))
    assert [out.shape for out in outs[0]] == [out.shape for out in outs[1]]


def test_each_skip_reaches_its_decoder_level():
    """With the upsampled half silenced, output i depends on the encoder's level of its own stride alone."""
    model = EmbeddingUNet(base_channels=4, num_levels=3).eval()
    for up in model.ups:
        nn.init.zeros_(up.up.weight)
        nn.init.zeros_(up.up.bias)
    seen = {}
    for level, down in enumerate(model.downs):
        down.register_forward_hook(lambda module, args, out, level=level: seen.update({level: out}))
    with torch.no_grad():
        outs = model(torch.randn(1, 3, 16, 24))
        for index, (up, out) in enumerate(zip(model.ups, outs, strict=True)):
            skip = seen[2 - index]
            torch.testing.assert_close(out, up.convs(up.reduce(torch.cat([torch.zeros_like(skip), skip], dim=1))))


def test_a_size_that_can_not_be_halved_is_named():
    with pytest.raises(ValueError, match=r'40 x 64.*pad_size_divisor=16'):
        EmbeddingUNet(base_channels=4)(torch.zeros(1, 3, 40, 64))
    with pytest.raises(ValueError, match='num_levels must be at least 1, not 0'):
        EmbeddingUNet(num_levels=0)


def test_trains_and_predicts_without_a_neck():
    trunk = dict(backbone=dict(type='EmbeddingUNet', base_channels=4, num_levels=3))
    displacement, classes = run_trunk(48, 64, dense_channels=16, grid_index=2, grid_channels=4, **trunk)
    assert displacement.shape == (2, 2, 12, 16) and classes.shape[-2:] == (48, 64)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(MODELS.build(dict(type='EmbeddingUNet', base_channels=2)), EmbeddingUNet)


def test_mixed_precision_is_finite():
    model = EmbeddingUNet(base_channels=4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = model(torch.randn(2, 3, 32, 48))
    outs[-1].float().sum().backward()
    assert all(torch.isfinite(out).all() for out in outs)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
