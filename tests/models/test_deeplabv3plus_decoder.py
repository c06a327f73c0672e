import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import nn
from trunk_checks import run_trunk

from mmext_instseg.models.necks import DeepLabV3PlusDecoder
from mmext_instseg.models.necks.deeplabv3plus_decoder import Deconv
from mmext_instseg.registry import MODELS

SMALL = dict(channels=8, low_channels=4, up_channels=(6, 5))
VGG = dict(type='VGGDeepLab', depth=11, extra_channels=16)
RESNET = dict(
    type='mmdet.ResNet',
    depth=18,
    base_channels=8,
    out_indices=(0, 3),
    strides=(1, 2, 2, 1),
    dilations=(1, 1, 1, 2),
    norm_eval=False,
)
TIMM = dict(type='mmpretrain.TIMMBackbone', features_only=True, pretrained=False)


def neck(channels: list[int], strides: list[int], **changes) -> dict:
    return dict(type='DeepLabV3PlusDecoder', in_channels=channels, in_strides=strides, **{**SMALL, **changes})


def build(**changes) -> DeepLabV3PlusDecoder:
    torch.manual_seed(0)
    return MODELS.build(neck([3, 7], [4, 16], **changes))


def feats(low: tuple[int, int] = (12, 16), high: tuple[int, int] = (3, 4), num: int = 2) -> tuple[torch.Tensor, ...]:
    return torch.rand(num, 3, *low), torch.rand(num, 7, *high)


@pytest.mark.parametrize(
    ('backbone', 'channels', 'strides'),
    [
        (VGG, [256, 16], [4, 16]),
        (dict(VGG, output_stride=8), [256, 16], [4, 8]),
        (RESNET, [8, 64], [4, 16]),
        (dict(TIMM, model_name='resnet18', out_indices=(1, 4), output_stride=16), [64, 512], [4, 16]),
        (dict(TIMM, model_name='mobilenetv3_small_050', out_indices=(1, 4), output_stride=16), [8, 288], [4, 16]),
    ],
    ids=['VGG', 'VGG at stride 8', 'ResNet of mmdet', 'resnet18 of timm', 'mobilenetv3 of timm'],
)
def test_backbones_by_config_alone(backbone, channels, strides):
    trunk = dict(backbone=backbone, neck=neck(channels, strides))
    displacement, classes = run_trunk(64, 96, dense_channels=5, grid_index=2, grid_channels=channels[-1], **trunk)
    assert displacement.shape == (2, 2, 64, 96)
    assert classes.shape == (2, 4, 64 // strides[-1], 96 // strides[-1])


@pytest.mark.parametrize('backbone', [VGG, RESNET], ids=['VGG', 'ResNet'])
def test_images_that_no_stride_divides(backbone):
    channels = [256, 16] if backbone is VGG else [8, 64]
    trunk = dict(backbone=backbone, neck=neck(channels, [4, 16]))
    displacement, classes = run_trunk(37, 53, dense_channels=5, grid_index=-1, grid_channels=channels[-1], **trunk)
    assert displacement.shape == (2, 2, 40, 56)  # 4 * ceil(H / 4)
    assert classes.shape == (2, 4, 3, 4)


@pytest.mark.parametrize(('out_stride', 'channels', 'shape'), [(1, 5, (48, 64)), (2, 6, (24, 32)), (4, 8, (12, 16))])
def test_coarser_outputs(out_stride, channels, shape):
    model = build(out_stride=out_stride)
    outs = model(feats())
    assert isinstance(outs, tuple) and [tuple(out.shape) for out in outs] == [(2, channels, *shape)]
    assert model.out_channels == channels


@pytest.mark.parametrize(('stride', 'deconvs', 'rates'), [(8, 1, [1, 12, 24, 36]), (16, 2, [1, 6, 12, 18]), (32, 3, [1, 3, 6, 9])])
def test_rates_and_deconvs_follow_the_stride(stride, deconvs, rates):
    model = MODELS.build(neck([3, 7], [4, stride]))
    assert [branch.conv.dilation[0] for branch in model.aspp] == rates
    assert len(model.up_high) == deconvs and len(model.up_out) == 2
    assert model([torch.rand(2, 3, 16, 16), torch.rand(2, 7, 64 // stride, 64 // stride)])[0].shape == (2, 5, 64, 64)


@pytest.mark.parametrize(('low', 'high'), [((13, 17), (4, 5)), ((13, 17), (3, 4))], ids=['rounded up', 'rounded down'])
def test_sizes_that_were_rounded_move_nothing(low, high):
    """Up to the size of 13x17, a value stays where bilinear interpolation by 4 puts it."""
    model = build(norm_cfg=None).eval()
    x = torch.rand(1, 8, *high)
    fitted = model._fit(model.up_high(x), torch.Size(low))
    assert fitted.shape[-2:] == low
    twice = F.interpolate(F.interpolate(x, scale_factor=2, mode='bilinear'), scale_factor=2, mode='bilinear')
    inner = (slice(None), slice(None), slice(4, 4 * high[0] - 4), slice(4, 4 * high[1] - 4))
    torch.testing.assert_close(fitted[inner], twice[inner])
    if high == (3, 4):
        assert torch.equal(fitted[:, :, 12:, :16], fitted[:, :, 11:12, :16]) and torch.equal(fitted[..., 16], fitted[..., 15])


def test_deconvolutions_start_as_bilinear_interpolation():
    torch.manual_seed(0)
    x = torch.rand(1, 4, 6, 7)
    same = Deconv(4, 4, None, None)
    torch.testing.assert_close(same(x)[..., 1:-1, 1:-1], F.interpolate(x, scale_factor=2, mode='bilinear')[..., 1:-1, 1:-1])
    other = Deconv(4, 3, None, None)
    projected = F.conv2d(x, other.conv.weight.sum(dim=(2, 3)).T[:, :, None, None] / 4)  # a kernel of 4x4 holds each of 2x2 phases
    expected = F.interpolate(projected, scale_factor=2, mode='bilinear')
    torch.testing.assert_close(other(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    before = same.conv.weight.clone()
    nn.init.zeros_(same.conv.weight)
    same.init_weights()
    assert torch.equal(same.conv.weight, before)


def test_upsampling_is_by_transposed_convolutions_alone(monkeypatch):
    model = build()
    monkeypatch.setattr(F, 'interpolate', None)
    model(feats())
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in model.modules()) == 4


def test_image_pooling_reaches_everywhere_and_trains_with_one_image():
    model = build(dilations=())
    low, high = feats(num=1)
    high.requires_grad_()
    model.train()((low, high))[0][0, :, 0, 0].sum().backward()  # the corner sees the other corner by image pooling alone
    assert (high.grad[0, :, -1, -1] != 0).any()


def test_memory_in_training_is_the_formula():
    model = MODELS.build(dict(type='DeepLabV3PlusDecoder', in_channels=[256, 512], in_strides=[4, 16]))
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    low, high = torch.rand(1, 256, 32, 64, requires_grad=True), torch.rand(1, 512, 8, 16, requires_grad=True)
    given = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers(), low, high)}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model((low, high))[0]
    found = sum(size for pointer, size in kept.items() if pointer not in given)
    formula = 8 * out.shape[-2] * out.shape[-1] * (32 + 64 / 4 + 4.5 * 256 / 16)
    assert found == pytest.approx(formula, rel=0.05)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(in_strides=[4]), 'differ in number'),
        (dict(in_strides=[4, 12]), 'must be 1, 2, 4, ...; they are 12 and 4'),
        (dict(in_strides=[16, 4]), 'they are 4 and 16'),
        (dict(in_strides=[8, 16]), '3 up_channels are needed from stride 8 to 1'),
        (dict(out_stride=8), 'they are 4 and 8'),
    ],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        MODELS.build({**neck([3, 7], [4, 16]), **changes})


def test_features_are_checked():
    with pytest.raises(ValueError, match="2 in_channels; the backbone's outputs are 3"):
        build()((*feats(), torch.rand(2, 7, 3, 4)))
    with pytest.raises(ValueError, match=r"in_strides aren't the backbone's: \(24, 32\).* \(12, 16\)"):
        build()(feats(high=(6, 8)))


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(build(), DeepLabV3PlusDecoder)


def test_mixed_precision_is_finite():
    model = build()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = model(feats((13, 17), (3, 4)))[0]  # rounded down: the padding too
    out.float().sum().backward()
    assert torch.isfinite(out).all() and all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
