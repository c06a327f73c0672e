import pytest
import timm
import torch
from dinov2_small import ARCH, TINY, make, timm_model
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from timm.layers import DropPath
from torch import nn
from trunk_checks import run_trunk

from mmext_instseg.models.backbones import DINOv2ViT
from mmext_instseg.models.backbones.dinov2_vit import resize_positions
from mmext_instseg.registry import MODELS

# ------------------------------------------------------------------------------------------------ the network


@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize(('arch', 'millions'), [('small', 22.1), ('base', 86.6), ('large', 304.4), ('giant', 1136.5)])
def test_published_networks_have_timms_parameters(arch, registers, millions):
    with torch.device('meta'):
        ours = DINOv2ViT(arch, registers)
        name = f'vit_{arch}_patch14_{"reg4_" if registers else ""}dinov2'
        theirs = timm.create_model(name, pretrained=False, num_classes=0)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }
    assert [block.attn.num_heads for block in ours.blocks] == [block.attn.num_heads for block in theirs.blocks]
    assert sum(p.numel() for p in ours.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)  # as the docstring has it


def test_section_5_1_taps():
    with torch.device('meta'):
        taps = {arch: DINOv2ViT(arch).taps for arch in ('small', 'base', 'large', 'giant')}
    assert taps == {'small': (3, 6, 9, 12), 'base': (3, 6, 9, 12), 'large': (5, 12, 18, 24), 'giant': (10, 20, 30, 40)}
    assert make().taps == (1, 2, 3, 4) and make(arch=dict(ARCH, depth=2)).taps == (1, 2)


@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize(('height', 'width'), [(70, 70), (56, 98), (14, 14), (14, 420)])
def test_sizes(registers, height, width):
    model = make(num_registers=registers)
    outs = model(torch.randn(2, 3, height, width))
    assert model.out_channels == (48,) * 4
    assert [tuple(out.shape) for out in outs] == [(2, 48, height // 14, width // 14)] * 4


def test_other_sizes_name_the_padding_and_the_setting():
    with pytest.raises(ValueError, match=r'427x640 .* 14: pad it by 7 rows and 4 columns to 434x644; .*pad_size_divisor=14\) does it'):
        make()(torch.zeros(1, 3, 427, 640))
    data = MODELS.build(dict(type='DenseDataPreprocessor', pad_size_divisor=14))(dict(inputs=[torch.zeros(3, 427, 640)]))
    assert data['inputs'].shape[-2:] == (434, 644)


def test_taps_are_counted_from_one_and_nothing_is_built_after_the_last():
    whole, model = make().eval(), make(taps=(3, 1)).eval()
    model.load_state_dict({key: value for key, value in whole.state_dict().items() if not key.startswith('blocks.3.')})
    assert model.taps == (1, 3) and len(model.blocks) == 3
    images = torch.randn(1, 3, 56, 70)
    expected = whole(images)
    for out, number in zip(model(images), (1, 3), strict=True):
        assert torch.equal(out, expected[number - 1])


def test_every_tap_is_normalised():
    outs = make()(torch.randn(2, 3, 56, 70))
    for out in outs:  # the norm starts with weight 1 and bias 0
        torch.testing.assert_close(out.mean(dim=1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0)
        torch.testing.assert_close(out.var(dim=1, unbiased=False), torch.ones(2, 4, 5), atol=1e-3, rtol=0)


@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize('mixed', [False, True])
def test_every_parameter_has_a_finite_gradient(registers, mixed):
    model = make(num_registers=registers)
    model.init_weights()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        outs = model(torch.randn(2, 3, 56, 84))
    sum((out.float() * torch.randn(out.shape)).sum() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_gradient_checkpointing_gives_the_same_with_less_memory():
    kept, grads = [], []
    images = torch.randn(2, 3, 56, 84)
    for with_cp in (False, True):
        model, sizes = make(with_cp=with_cp), {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outs = model(images)
        own = {value.untyped_storage().data_ptr() for value in model.parameters()}
        kept.append(sum(size for place, size in sizes.items() if place not in own))
        sum(out.square().mul(torch.arange(1, 49)[:, None, None]).sum() for out in outs).backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])
    tokens = 2 * (24 + 1) * 48
    assert 4 * 72 * tokens < kept[0] < 4 * 90 * tokens  # bytes a token, channel and block; what is more: images, taps
    assert 4 * 4 * tokens < kept[1] < 4 * 22 * tokens


def test_stochastic_depth_grows_with_the_block():
    rates = [m.drop_prob for m in make(drop_path_rate=0.3).modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    assert [m.drop_prob for m in make(drop_path_rate=0.3, taps=(2,)).modules() if isinstance(m, DropPath)] == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize('frozen', [-1, 0, 2, 4])
def test_frozen_stages(frozen):
    model = make(frozen_stages=frozen, num_registers=4, drop_path_rate=0.1).train()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    free = {name for name in dict(model.named_parameters()) if name.startswith('blocks.') and int(name.split('.')[1]) >= frozen}
    free |= {'norm.weight', 'norm.bias'} if frozen < 4 else set()
    free |= {'cls_token', 'reg_token', 'pos_embed', 'patch_embed.proj.weight', 'patch_embed.proj.bias'} if frozen < 0 else set()
    assert trained == free
    assert [block.training for block in model.blocks] == [number >= frozen for number in range(4)]
    assert model.eval() is model and not model.training


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(arch='huge'), 'arch must be one of small, base, large, giant or a dict'),
        (dict(arch=dict(embed_dim=48, depth=4)), r"at most swiglu besides; it has \['depth', 'embed_dim'\]"),
        (dict(taps=(0, 3)), r'taps must be numbers of blocks from 1 to 4, not \(0, 3\)'),
        (dict(taps=(3, 5)), r'from 1 to 4, not \(3, 5\)'),
        (dict(taps=()), 'taps'),
        (dict(taps=(2,), frozen_stages=3), r'frozen_stages must be from -1 \(none\) to 2 \(the last tap\), not 3'),
        (dict(img_size=64), 'img_size must be a multiple of patch_size 14, not 64'),
    ],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        make(**changes)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name_and_no_num_classes(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = make()
    assert isinstance(model, DINOv2ViT) and not any(hasattr(module, 'num_classes') for module in model.modules())


# ------------------------------------------------------------------------------------------------ position embeddings


def cubic(values: torch.Tensor, size: int, scale: float) -> torch.Tensor:
    """Keys' cubic convolution with a = -0.75 along the first axis, output pixel i at (i + 0.5) / scale - 0.5, borders repeated."""
    out = []
    for place in range(size):
        x = (place + 0.5) / scale - 0.5
        left = int(torch.tensor(x).floor())
        total = 0
        for neighbour in range(left - 1, left + 3):
            t = abs(x - neighbour)
            weight = 1.25 * t**3 - 2.25 * t**2 + 1 if t <= 1 else -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            total = total + weight * values[min(max(neighbour, 0), len(values) - 1)]
        out.append(total)
    return torch.stack(out)


@pytest.mark.parametrize('grid', [(3, 4), (7, 5), (9, 12), (1, 6)])
def test_without_registers_positions_have_metas_steps(grid):
    """As if the grid were 0.1 patches larger each way; no antialiasing."""
    positions = torch.randn(1, 25, 8, generator=torch.Generator().manual_seed(0))
    table = positions[0].view(5, 5, 8)
    rows = cubic(table, grid[0], (grid[0] + 0.1) / 5)
    expected = cubic(rows.transpose(0, 1), grid[1], (grid[1] + 0.1) / 5).transpose(0, 1)
    torch.testing.assert_close(resize_positions(positions, grid, antialias=False)[0].view(*grid, 8), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('antialias', [False, True])
def test_positions_of_the_own_grid_are_untouched(antialias):
    positions = torch.randn(1, 25, 8)
    assert resize_positions(positions, (5, 5), antialias) is positions
    assert resize_positions(positions.bfloat16(), (3, 7), antialias).dtype == torch.bfloat16
    assert resize_positions(positions, (5, 6), antialias).shape == (1, 30, 8)
    flat = torch.ones(1, 25, 8)
    torch.testing.assert_close(resize_positions(flat, (3, 9), antialias), torch.ones(1, 27, 8))


@pytest.mark.parametrize(('registers', 'sizes'), [(0, [(70, 70)]), (4, [(70, 70), (56, 98), (28, 126)])])
@pytest.mark.parametrize('swiglu', [False, True])
def test_same_features_as_timm(registers, sizes, swiglu):
    """At every size with registers; without them timm antialiases, Meta doesn't, so at the size of the stored positions."""
    reference = timm_model(registers, swiglu)
    model = make(arch=dict(ARCH, swiglu=swiglu), num_registers=registers).eval()
    model.load_state_dict(reference.state_dict())
    for size in sizes:
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected = reference.forward_intermediates(images, norm=True, intermediates_only=True)
            for out, feature in zip(model(images), expected, strict=True):
                assert feature.std() > 0.1
                torch.testing.assert_close(out, feature, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------ in a detector


class Trained(nn.Module):
    """What the optimizer's constructor asks of a detector."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Conv2d(48, 3, 1)

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        return self.backbone.get_layer_depth(param_name, 'backbone.')


@pytest.mark.parametrize('taps', [(1, 2, 3, 4), (1, 2)])
def test_layer_wise_learning_rate_decay(taps):
    model = Trained(make(num_registers=4, taps=taps))
    config = dict(
        optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.05),
        constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.5),
    )
    groups = build_optim_wrapper(model, config).optimizer.param_groups
    found = {group['param_name']: group['lr'] for group in groups}
    assert found.keys() == dict(model.named_parameters()).keys()
    last = len(taps)
    for name, rate in found.items():
        if name.startswith('backbone.blocks.'):
            assert rate == 0.5 ** (last - int(name.split('.')[2])), name
        elif name.startswith(('backbone.norm.', 'head.')):
            assert rate == 1.0, name
        else:
            assert rate == 0.5 ** (last + 1), name  # patch embedding, tokens, positions


@pytest.mark.parametrize('kind', ['ours', "mmpretrain's"])
def test_backbones_with_the_shallow_decoder_by_config_alone(kind):
    arch = dict(embed_dims=48, num_layers=4, num_heads=2, feedforward_channels=192)
    backbone = {
        'ours': dict(TINY, num_registers=4, with_cp=True),
        "mmpretrain's": dict(
            type='mmpretrain.VisionTransformer',
            arch=arch,
            patch_size=14,
            img_size=70,
            layer_scale_init_value=1e-5,
            out_type='featmap',
            out_indices=[0, 1, 2, 3],
        ),
    }[kind]
    neck = dict(type='ShallowDecoder', in_channels=[48] * 4, channels=8)
    displacement, classes = run_trunk(56, 84, dense_channels=8, grid_index=-1, grid_channels=48, backbone=backbone, neck=neck)
    assert displacement.shape == (2, 2, 32, 48)  # 8 / 14 of the image
    assert classes.shape == (2, 4, 4, 6)
    assert MODELS.build(backbone).get_layer_depth('backbone.cls_token', 'backbone.') == (0, 6)
