import open_clip
import pytest
import torch
from clip_small import TEXT, VISION, clip_model, make
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from open_clip.model import resize_pos_embed
from torch import nn

from mmext_instseg.models.backbones import CLIPViT
from mmext_instseg.registry import MODELS


def same_weights(model: CLIPViT, reference: open_clip.CLIP) -> CLIPViT:
    found = {f'visual.{key}': value for key, value in reference.visual.state_dict().items()}
    own = model.state_dict()
    model.load_state_dict({key: value for key, value in found.items() if key in own})
    return model.eval()


def at_size(reference: open_clip.CLIP, size: int, quick_gelu: bool) -> open_clip.CLIP:
    """open_clip's own network for images of another size, its own function resizing the positions."""
    other = clip_model(quick_gelu=quick_gelu, image_size=size)
    state = dict(reference.state_dict())
    resize_pos_embed(state, other)
    other.load_state_dict(state)
    return other


def taps_of(reference: open_clip.CLIP, images: torch.Tensor, taps: tuple[int, ...]) -> list[torch.Tensor]:
    """(B, 1 + h * w, C) of each block, from open_clip's own forward."""
    found = {}
    handles = [
        reference.visual.transformer.resblocks[tap].register_forward_hook(lambda _, __, out, tap=tap: found.update({tap: out}))
        for tap in taps
    ]
    reference.encode_image(images)
    for handle in handles:
        handle.remove()
    return [found[tap] for tap in taps]


@pytest.mark.parametrize('quick_gelu', [True, False])
@pytest.mark.parametrize('size', [64, 96, 32])
def test_same_taps_as_open_clip(quick_gelu, size):
    reference = clip_model(quick_gelu=quick_gelu)
    model = same_weights(make('visual', taps=(0, 1, 3), quick_gelu=quick_gelu, out_type='raw'), reference)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        other = reference if size == 64 else at_size(reference, size, quick_gelu)
        for out, expected in zip(model(images), taps_of(other, images, (0, 1, 3)), strict=True):
            assert expected.std() > 0.1
            torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_same_taps_as_open_clip_at_the_papers_size():
    """ViT-B/16 but for its width: blocks 3, 7 and 9 of 12, at CLIP's 224 pixels and the paper's 352."""
    torch.manual_seed(0)
    vision = dict(image_size=224, patch_size=16, width=96, layers=12, head_width=24)
    reference = open_clip.CLIP(24, vision, dict(TEXT), quick_gelu=True).eval()
    other = open_clip.CLIP(24, {**vision, 'image_size': 352}, dict(TEXT), quick_gelu=True).eval()
    state = dict(reference.state_dict())
    resize_pos_embed(state, other)
    other.load_state_dict(state)
    model = same_weights(CLIPViT(vision, out_type='raw'), reference)
    towers = {224: reference.visual, 352: other.visual}
    for size, tower in towers.items():
        images = torch.randn(2, 3, size, size)
        with torch.no_grad():
            expected = tower.forward_intermediates(images, indices=[3, 7, 9], output_fmt='NLC', output_extra_tokens=True)
            outs = model(images)
        assert [tuple(out.shape) for out in outs] == [(2, 1 + (size // 16) ** 2, 96)] * 3
        for out, patches, first in zip(outs, expected['image_intermediates'], expected['image_intermediates_prefix'], strict=True):
            torch.testing.assert_close(out, torch.cat([first, patches], dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('arch', 'millions', 'heads'), [('ViT-B-16', 71.6, 12), ('ViT-B-32', 73.3, 12), ('ViT-L-14', 126.8, 16), ('ViT-L-14-336', 127.2, 16)]
)
def test_published_networks(arch, millions, heads):
    with torch.device('meta'):
        model = CLIPViT(arch)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert len(model.visual.transformer.resblocks) == 10 and model.taps == (3, 7, 9)
    assert {block.attn.num_heads for block in model.visual.transformer.resblocks} == {heads}
    assert model.out_channels == ((1024,) if 'L' in arch else (768,)) * 3


@pytest.mark.parametrize(('height', 'width'), [(64, 64), (32, 96), (16, 16), (352, 16)])
def test_maps_are_the_tokens_of_any_size(height, width):
    maps, tokens = make('visual').eval(), make('visual', out_type='raw').eval()
    images = torch.randn(2, 3, height, width)
    rows, cols = height // 16, width // 16
    for found, raw in zip(maps(images), tokens(images), strict=True):
        assert found.shape == (2, 32, rows, cols) and raw.shape == (2, 1 + rows * cols, 32)
        row, col = rows - 1, cols // 2
        assert torch.equal(found[1, :, row, col], raw[1, 1 + row * cols + col])


def test_taps_are_counted_from_zero_and_nothing_is_built_after_the_last():
    whole, model = make('visual', taps=(0, 1, 2, 3)).eval(), make('visual', taps=(2, 0, 2)).eval()
    own = model.state_dict()
    model.load_state_dict({key: value for key, value in whole.state_dict().items() if key in own})
    assert model.taps == (0, 2) and len(model.visual.transformer.resblocks) == 3
    assert not [key for key in own if 'ln_post' in key or 'proj' in key.split('.')]
    images = torch.randn(1, 3, 64, 32)
    for out, expected in zip(model(images), [whole(images)[tap] for tap in (0, 2)], strict=True):
        assert torch.equal(out, expected)


def test_a_flat_table_of_positions_stays_flat():
    model = make('visual')
    nn.init.constant_(model.visual.positional_embedding, 0.5)
    images = torch.zeros(1, 3, 96, 48)
    same = model._embed(images, (6, 3))[0, 1:]
    torch.testing.assert_close(same, same[:1].expand_as(same))


def test_other_sizes_name_the_padding():
    with pytest.raises(ValueError, match=r'CLIPViT: an image of 100x64 .*16: pad it by 12 rows and 0 columns to 112x64; .*divisor=16\)'):
        make('visual')(torch.zeros(1, 3, 100, 64))


@pytest.mark.parametrize('mixed', [False, True])
def test_trained_from_scratch_every_parameter_has_a_gradient(mixed):
    model = make('visual')
    model.init_weights()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        outs = model(torch.randn(2, 3, 32, 80))
    sum((out.float() * torch.randn(out.shape)).sum() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_frozen_means_no_gradient_no_training_and_no_state_of_the_optimizer():
    model = nn.Sequential(make('visual', frozen=True), nn.Conv2d(32, 1, 1))
    model.train()
    assert not any(module.training for module in model[0].modules()) and model[1].training
    optimizer = dict(type='AdamW', lr=0.1, weight_decay=0.1)
    wrapper = build_optim_wrapper(model, dict(optimizer=optimizer, paramwise_cfg=dict(norm_decay_mult=0.0)))
    before = {name: value.clone() for name, value in model[0].named_parameters()}
    outs = model[0](torch.randn(2, 3, 64, 64))
    assert not any(out.requires_grad for out in outs)
    wrapper.update_params(model[1](outs[0]).mean())
    assert all(parameter.grad is None for parameter in model[0].parameters())
    assert len(wrapper.optimizer.state) == 2  # weight and bias of the convolution
    assert all(torch.equal(value, before[name]) for name, value in model[0].named_parameters())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    model = make('visual', frozen=True)
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        expected = model(images)
        with torch.autocast('cpu', dtype=dtype):
            mixed = model(images)
        half = model.to(dtype)(images)  # images come in float32
    for out, autocast, reference in zip(half, mixed, expected, strict=True):
        assert out.dtype == dtype and autocast.isfinite().all()
        for other in (out, autocast):
            torch.testing.assert_close(other.float(), reference, rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(arch='ViT-B-17'), r"arch must be a name of open_clip's \('ViT-B-16', .*\) or a dict, not 'ViT-B-17'"),
        (dict(arch='RN50'), 'needs width, layers, patch_size'),
        (dict(arch='ViT-B-16-SigLIP'), "'timm_model_name'.* besides"),
        (dict(arch=dict(width=32, layers=4)), r"lacks \['patch_size'\] and has nothing besides"),
        (dict(arch=dict(VISION, depth=3)), r"lacks nothing and has \['depth'\] besides"),
        (dict(arch=dict(VISION, image_size=60)), 'image_size 60 must be a multiple of patch_size 16'),
        (dict(arch=dict(VISION, head_width=20)), 'width 32 must be a multiple of head_width 20'),
        (dict(taps=(3, 4)), r'taps must be numbers of blocks from 0 to 3, not \(3, 4\)'),
        (dict(taps=(-1,)), 'from 0 to 3'),
        (dict(taps=()), 'taps'),
        (dict(out_type='cls_token'), "out_type must be 'featmap' or 'raw', not 'cls_token'"),
    ],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        make('visual', **changes)


def test_an_ordinary_backbone_of_mmseg():
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(
            dict(
                type='mmseg.EncoderDecoder',
                data_preprocessor=dict(type='mmseg.SegDataPreProcessor'),
                backbone=dict(type='CLIPViT', arch=VISION, taps=(0, 2)),
                decode_head=dict(
                    type='mmseg.FCNHead', in_channels=32, in_index=1, channels=8, num_convs=1, num_classes=3, norm_cfg=dict(type='BN')
                ),
                test_cfg=dict(mode='whole'),
            )
        ).train()
        assert not model.backbone.training and not any(hasattr(module, 'num_classes') for module in model.backbone.modules())
        assert model(torch.randn(2, 3, 64, 96), mode='tensor').shape == (2, 3, 4, 6)
