import pytest
import torch
from mmdet.models.necks import FPN, PAFPN
from mmengine.registry import DefaultScope
from torch import nn

from mmext_instseg.models.necks import TWFPN
from mmext_instseg.registry import MODELS

CHANNELS = [8, 12, 16, 20]


def features(height: int = 64, width: int = 96, channels: list[int] = CHANNELS, batch: int = 2) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    strides = (4 * 2**level for level in range(len(channels)))
    return tuple(torch.randn(batch, c, -(-height // s), -(-width // s)) for c, s in zip(channels, strides, strict=True))


def make(**changes) -> TWFPN:
    torch.manual_seed(0)
    neck = MODELS.build(dict(type='TWFPN', **{'in_channels': CHANNELS, 'out_channels': 8, **changes}))
    neck.init_weights()
    return neck


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (61, 93), (1, 1)])
def test_nine_maps_of_all_strides(height, width):
    outs = make(return_top_down=True)(features(height, width))
    strides = (4, 8, 16, 32, 64, 4, 8, 16, 32)
    assert [tuple(out.shape) for out in outs] == [(2, 8, -(-height // s), -(-width // s)) for s in strides]
    plain = make()(features(height, width))
    assert len(plain) == 5 and all(torch.equal(a, b) for a, b in zip(plain, outs[:5], strict=True))


@pytest.mark.parametrize('num', [1, 3])
def test_the_last_n_can_be_left_out(num):
    """Beside the P; the layers that only they need aren't there: one step up is 3x3 down and 3x3 smooth."""
    whole, part = make(return_top_down=True), make(return_top_down=True, num_outs=num)
    for name, parameter in part.named_parameters():
        parameter.data = whole.get_parameter(name)
    outs, expected = part(features()), whole(features())
    assert len(outs) == num + 4
    assert all(torch.equal(a, b) for a, b in zip(outs, (*expected[:num], *expected[5:]), strict=True))
    sum(out.square().mean() for out in outs).backward()
    assert all(parameter.grad is not None for parameter in part.parameters())
    assert len(list(part.parameters())) == len(list(whole.parameters())) - (4 - num) * 4


def test_fewer_n_without_the_p_are_refused():
    with pytest.raises(ValueError, match='num_outs=3 of 4 inputs with return_top_down=False'):
        make(num_outs=3)
    with pytest.raises(ValueError, match='num_outs=0'):
        make(num_outs=0, return_top_down=True)


def test_the_way_down_is_mmdets_fpn():
    neck = make(return_top_down=True)
    reference = FPN(CHANNELS, 8, num_outs=4)
    reference.load_state_dict({key: value for key, value in neck.state_dict().items() if key.startswith(('lateral', 'fpn'))})
    for out, expected in zip(neck(features(61, 93))[5:], reference(features(61, 93)), strict=True):
        assert torch.equal(out, expected)


def test_one_step_up_is_mmdets_pafpn():
    neck = make(in_channels=CHANNELS[:2], num_outs=3)
    reference = PAFPN(CHANNELS[:2], 8, num_outs=3)
    reference.load_state_dict(neck.state_dict())
    inputs = features(channels=CHANNELS[:2])
    for out, expected in zip(neck(inputs), reference(inputs), strict=True):
        assert torch.equal(out, expected)


@torch.no_grad()
def test_each_n_is_made_from_the_n_below():
    """One channel, constant maps, only the middle weight of each kernel: P = C on all levels, down is x 2, smooth is x 3."""
    neck = TWFPN([1, 1, 1, 1], 1, return_top_down=True)
    for name, parameter in neck.named_parameters():
        parameter.zero_()
        if name.endswith('weight'):
            middle = parameter.shape[-1] // 2
            parameter[0, 0, middle, middle] = 2 if 'downsample' in name else 3 if 'pafpn' in name else 1
    inputs = [torch.full((1, 1, size, size), value) for size, value in ((16, 1.0), (8, 10.0), (4, 100.0), (2, 1000.0))]
    outs = [out.unique().tolist() for out in neck(inputs)]
    # P5 = 1000, P4 = 1100, P3 = 1110, P2 = 1111; N2 = P2, N3 = 3 (1110 + 2 * 1111) and so on up.
    n3 = 3 * (1110 + 2 * 1111)
    n4 = 3 * (1100 + 2 * n3)
    n5 = 3 * (1000 + 2 * n4)
    assert outs == [[1111.0], [n3], [n4], [n5], [n5], [1111.0], [1110.0], [1100.0], [1000.0]]


def test_bottom_up_brings_fine_positions_to_the_coarse_maps():
    neck = make(return_top_down=True)
    inputs = features()
    changed = (inputs[0] + torch.randn_like(inputs[0]), *inputs[1:])
    for before, after in zip(neck(inputs)[1:4], neck(changed)[1:4], strict=True):
        assert (before - after).abs().max() > 1e-3
    for before, after in zip(neck(inputs)[6:], neck(changed)[6:], strict=True):
        assert torch.equal(before, after)  # FPN's P3 to P5 know nothing of it


@pytest.mark.parametrize('return_top_down', [False, True])
def test_every_parameter_has_a_gradient_and_mixed_precision_is_finite(return_top_down):
    neck = make(return_top_down=return_top_down, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = neck(features())
    assert all(out.isfinite().all() for out in outs)
    sum(out.float().square().mean() for out in outs[1:5]).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in neck.parameters())


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name_from_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        neck = make()
    assert isinstance(neck, TWFPN) and not any(hasattr(module, 'num_classes') for module in neck.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in neck.modules())
