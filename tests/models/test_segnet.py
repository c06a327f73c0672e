import pytest
import torch
from mmengine.registry import DefaultScope
from test_vgg_deeplab import saved, torchvision_vgg
from torch import nn
from trunk_checks import run_trunk

from mmext_instseg.models.backbones import SegNet, VGGDeepLab
from mmext_instseg.registry import MODELS


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (37, 53), (1, 1)])
def test_sizes(height, width):
    decoded, encoded = SegNet(11).eval()(torch.randn(2, 3, height, width))
    assert decoded.shape == (2, 64, height, width) and encoded.shape == (2, 512, -(-height // 32), -(-width // 32))


def test_the_decoder_mirrors_the_encoder():
    stages = [[(layer.in_channels, layer.out_channels) for layer in stage] for stage in SegNet(16).decoder]
    assert stages == [
        [(512, 512), (512, 512), (512, 512)],
        [(512, 512), (512, 512), (512, 256)],
        [(256, 256), (256, 256), (256, 128)],
        [(128, 128), (128, 64)],
        [(64, 64), (64, 64)],
    ]


def test_values_return_to_where_their_pools_took_them_from():
    """With convolutions that pass everything on, only the largest value of each 32x32 block is left, at its place."""
    model = SegNet(11, decoder_norm_cfg=None).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
            nn.init.zeros_(module.bias)
    images = torch.rand(1, 3, 37, 70)
    with torch.no_grad():
        decoded, encoded = model(images)
    expected = torch.zeros_like(images)
    for rows in (slice(0, 32), slice(32, 37)):
        for cols in (slice(0, 32), slice(32, 64), slice(64, 70)):
            block = images[..., rows, cols]
            expected[..., rows, cols] = torch.where(block == block.amax(dim=(2, 3), keepdim=True), block, 0.0)
    assert torch.equal(decoded[:, :3], expected)
    assert torch.equal(encoded[0, :3, 1, 2], images[0, :, 32:, 64:].amax(dim=(1, 2)))


@pytest.mark.parametrize('batch_norm', [False, True])
def test_encoder_is_torchvisions(tmp_path, batch_norm):
    layers, content = torchvision_vgg('A', batch_norm)
    path = saved(tmp_path / 'vgg11.pth', content)
    model = SegNet(11, norm_cfg=dict(type='BN') if batch_norm else None, init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images)[1], layers(images), rtol=1e-4, atol=1e-4)


def test_takes_the_encoder_of_a_checkpoint_of_vgg_deeplab(tmp_path):
    torch.manual_seed(0)
    state = VGGDeepLab(11, extra_channels=4).state_dict()
    path = saved(tmp_path / 'deeplab.pth', dict(state_dict={f'backbone.{key}': value for key, value in state.items()}))
    model = SegNet(11, init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    assert all(torch.equal(value, state[f'features.{key}']) for key, value in model.features.state_dict().items())


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (37, 53)])
def test_trains_and_predicts_without_a_neck(height, width):
    trunk = dict(backbone=dict(type='SegNet', depth=11))
    displacement, classes = run_trunk(height, width, dense_channels=64, grid_index=1, grid_channels=512, **trunk)
    assert displacement.shape == (2, 2, height, width) and classes.shape == (2, 4, 2, -(-width // 32))


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(MODELS.build(dict(type='SegNet', depth=11)), SegNet)


def test_mixed_precision_is_finite():
    model = SegNet(11)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = model(torch.randn(2, 3, 37, 64))
    sum(out.float().sum() for out in outs).backward()
    assert all(torch.isfinite(out).all() for out in outs)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
