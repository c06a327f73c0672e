import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import nn

from mmext_instseg.models.necks import ShallowDecoder
from mmext_instseg.registry import MODELS


def make(seed: int = 0, **changes) -> ShallowDecoder:
    torch.manual_seed(seed)
    model = MODELS.build(dict(type='ShallowDecoder', **{'in_channels': (6, 4), 'channels': 8, **changes}))
    model.init_weights()
    return model


def taps(height: int = 3, width: int = 5, num: int = 2) -> tuple[torch.Tensor, ...]:
    return torch.randn(num, 6, height, width), torch.randn(num, 4, height, width)


@pytest.mark.parametrize(('height', 'width'), [(3, 5), (1, 1), (30, 30)])
def test_eight_times_the_size_by_three_transposed_convolutions_and_one_convolution(height, width):
    model = make()
    (out,) = model(taps(height, width))
    assert out.shape == (2, 8, 8 * height, 8 * width) and model.out_channels == 8
    convs = [module for module in model.modules() if isinstance(module, nn.modules.conv._ConvNd)]
    assert [isinstance(conv, nn.ConvTranspose2d) for conv in convs] == [True, True, True, False]


def test_section_5_1_840_pixels_give_480():
    assert make()(taps(60, 60, num=1))[0].shape[-2:] == (480, 480)  # 840 / 14 = 60


def test_width_of_the_paper_s_decoder_is_256_by_default():
    model = MODELS.build(dict(type='ShallowDecoder', in_channels=(768,) * 4))
    assert model.out_channels == 256
    assert sum(p.numel() for p in model.parameters()) == 4 * 3072 * 256 + 2 * 4 * 256**2 + 9 * 256**2 + 4 * 2 * 256


def test_no_checkerboard_at_the_start():
    """Each patch is one flat block of 8x8 before the last convolution, as by nearest-neighbour interpolation."""
    model, inputs = make(), taps()
    out = model.ups(torch.cat(inputs, dim=1))
    blocks = out[:, :, ::8, ::8]
    torch.testing.assert_close(out, F.interpolate(blocks, scale_factor=8, mode='nearest'))
    assert blocks.std() > 0.1
    assert not torch.equal(make(seed=1).ups[0].conv.weight, model.ups[0].conv.weight)


def test_only_the_last_convolution_sees_across_patches():
    """An output pixel at the border of its patch depends on the neighbour, one in the middle on its own patch alone."""
    model, inputs = make(), taps(3, 3, num=1)
    joined = torch.cat(inputs, dim=1).requires_grad_()
    out = model((joined[:, :6], joined[:, 6:]))[0]
    (inner,) = torch.autograd.grad(out[0, :, 12, 12].sum(), joined, retain_graph=True)
    (border,) = torch.autograd.grad(out[0, :, 12, 8].sum(), joined)
    assert [tuple(place) for place in inner[0].abs().sum(0).nonzero().tolist()] == [(1, 1)]
    assert [tuple(place) for place in border[0].abs().sum(0).nonzero().tolist()] == [(1, 0), (1, 1)]


def test_padding_and_the_rest_of_the_batch_change_nothing():
    """Unlike batch norm; so gradient accumulation is exact."""
    model, inputs = make().train(), taps(4, 4)
    whole = model(inputs)[0]
    torch.testing.assert_close(model(tuple(tap[:1] for tap in inputs))[0], whole[:1])
    padded = model(tuple(F.pad(tap, (0, 2, 0, 1)) for tap in inputs))[0]
    torch.testing.assert_close(padded[..., :31, :31], whole[..., :31, :31])  # but for the last row and column, next to the padding


@pytest.mark.parametrize('mixed', [False, True])
def test_every_parameter_has_a_finite_gradient(mixed):
    model = make()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        out = model(taps())[0]
    (out.float() * torch.randn(out.shape)).sum().backward()
    assert out.isfinite().all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_other_normalisation_and_activation():
    model = make(norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='ReLU'))
    assert sum(isinstance(module, nn.GroupNorm) for module in model.modules()) == 4
    assert (model(taps())[0] >= 0).all()


def test_memory_in_training_is_the_formula():
    model = MODELS.build(dict(type='ShallowDecoder', in_channels=(96,) * 4, channels=32))
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs = [torch.rand(2, 96, 6, 7, requires_grad=True) for _ in range(4)]
    given = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *inputs)}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(tuple(inputs))  # noqa: F841  (its graph is what is measured)
    found = sum(size for pointer, size in kept.items() if pointer not in given)
    assert found == pytest.approx(4 * 2 * 6 * 7 * (4 * 96 + 380 * 32), rel=0.05)


def test_inputs_are_checked():
    with pytest.raises(ValueError, match=r'in_channels are \[6, 4\]; the inputs have \[4, 6\]'):
        make()(taps()[::-1])
    with pytest.raises(ValueError, match=r'one size, not \[\(3, 5\), \(3, 4\)\]'):
        make()((taps()[0], taps()[1][..., :4]))


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(make(), ShallowDecoder)
