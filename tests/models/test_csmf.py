import pytest
import torch
from mmdet.models.dense_heads.solov2_head import MaskFeatModule
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from mmext_instseg.models.necks import CSMF
from mmext_instseg.registry import MODELS

GN = dict(type='GN', num_groups=4)


def maps(num: int = 9, height: int = 64, width: int = 96, channels: int = 8) -> list[torch.Tensor]:
    """N2 to N6, P2 to P5; or P2 to P6."""
    torch.manual_seed(1)
    strides = [4, 8, 16, 32, 64, 4, 8, 16, 32][:num]
    return [torch.randn(2, channels, -(-height // s), -(-width // s)) for s in strides]


def make(**changes) -> CSMF:
    torch.manual_seed(0)
    module = MODELS.build(dict(type='CSMF', **{'in_channels': 8, 'feat_channels': 8, 'out_channels': 16, 'norm_cfg': GN, **changes}))
    module.init_weights()
    return module


@pytest.mark.parametrize('num', [9, 5])
@pytest.mark.parametrize(('height', 'width'), [(64, 96), (61, 93), (32, 32), (1, 1)])
def test_one_map_at_stride_4(num, height, width):
    module = make()
    outs = module(maps(num, height, width))
    assert isinstance(outs, tuple)  # mmseg's heads index it
    assert [tuple(out.shape) for out in outs] == [(2, 16, -(-height // 4), -(-width // 4))]
    assert (module.out_channels, module.mask_stride) == (16, 4)


@pytest.mark.parametrize(('num', 'read'), [(9, {2, 5, 8}), (5, {0, 2, 3})])
def test_reads_p2_n4_and_p5(num, read):
    """N4 is map 2 of both; of a plain FPN that is P4."""
    inputs = [value.requires_grad_() for value in maps(num)]
    make()(inputs)[0].square().sum().backward()
    assert {index for index, value in enumerate(inputs) if value.grad is not None and value.grad.abs().sum() > 0} == read


def test_a_plain_fpn_reads_as_nine_maps_with_n_equal_to_p():
    module, plain = make(), maps(5)
    assert torch.equal(module(plain)[0], module([*plain, *plain[:4]])[0])


def test_three_n_are_enough():
    """N5 and N6 aren't read."""
    module, inputs = make(), maps()
    expected = module(inputs)[0]
    module.num_levels = 3
    assert torch.equal(module([*inputs[:3], *inputs[5:]])[0], expected)


def summing() -> CSMF:
    """One channel, only the middle weights, no normalisation: the graph is a sum."""
    module = make(in_channels=1, feat_channels=1, out_channels=1, norm_cfg=None).requires_grad_(False)
    for name, parameter in module.named_parameters():
        parameter.zero_()
        if name.endswith('weight'):
            middle = parameter.shape[-1] // 2
            parameter[0, :, middle, middle] = 1
    module.deep.conv.weight[0, 1:] = 0  # the coordinates
    return module


def test_the_graph_by_hand():
    module = summing()
    module.join.conv.weight[0, 1].mul_(2)  # N4's
    module.carry.conv.weight.mul_(3)
    module.guide.conv.weight.mul_(5)
    p2, n4, p5 = 7.0, 11.0, 13.0
    inputs = [torch.full_like(value[:1, :1], 99.0) for value in maps()]
    for index, value in ((5, p2), (2, n4), (8, p5)):
        inputs[index].fill_(value)
    (out,) = module(inputs)
    assert out.unique().tolist() == [5 * (p2 + p5) + 3 * (p5 + 2 * n4)]
    module.guide.conv.weight.zero_()
    module.carry.conv.weight.zero_()
    assert (module(inputs)[0] == 0).all()  # there is no third way


def test_enlarging_is_bilinear():
    """P5 is 0 on the left and 8 on the right."""
    inputs = [torch.zeros_like(value[:1, :1]) for value in maps(9, 64, 64)]
    inputs[8][..., 1] = 8
    left = dict(
        guide=[0, 0, 0, 0, 0.5, 1.5, 2.5, 3.5],  # 8 times at once
        carry=[0, 0.125, 0.375, 0.75, 1.25, 1.875, 2.625, 3.5],  # twice [0, 2, 6, 8], twice [0, 0.5, 1.5, 3, 5, ...], and twice
    )
    for other, name in (('carry', 'guide'), ('guide', 'carry')):
        module = summing()
        getattr(module, other).conv.weight.zero_()
        row = torch.tensor(left[name])
        assert torch.equal(module(inputs)[0], torch.cat([row, 8 - row.flip(0)]).expand(1, 1, 16, 16))


def test_coordinates_beside_the_deepest_input():
    module, inputs = make(), maps()
    seen: list[torch.Tensor] = []
    module.deep.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    module(inputs)
    assert torch.equal(seen[0][:, :8], inputs[8])
    assert seen[0][1, 8].tolist() == [[-1, 0, 1], [-1, 0, 1]]  # x
    assert seen[0][1, 9].tolist() == [[-1, -1, -1], [1, 1, 1]]  # y


@pytest.mark.parametrize('num', [9, 5])
def test_every_parameter_has_a_gradient_and_mixed_precision_is_finite(num):
    module = make()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (out,) = module(maps(num))
    assert out.isfinite().all()
    (out.float() * torch.randn_like(out.float())).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('num', [4, 6, 8])
def test_another_number_of_maps_is_refused(num):
    with pytest.raises(ValueError, match=f'CSMF reads 5 maps of an FPN or 9 of TWFPN.*there are {num}'):
        make()(maps(num))


def test_fewer_multiplications_than_solov2s_mask_feature():
    def flops(module: torch.nn.Module, num: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(maps(num, 128, 128, 256))
        return counter.get_total_flops()

    reference = MaskFeatModule(256, 128, 0, 3, 256, norm_cfg=dict(type='GN', num_groups=32))
    assert flops(CSMF(), 9) < 0.8 * flops(reference, 4)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name_from_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        module = make()
    assert isinstance(module, CSMF) and not any(hasattr(part, 'num_classes') for part in module.modules())
