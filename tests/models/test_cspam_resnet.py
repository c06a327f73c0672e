import copy

import pytest
import timm
import torch
from mmdet.models.backbones import ResNet
from mmdet.testing import demo_mm_inputs
from mmengine.hub import get_config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.models import CSPResNet
from safetensors.torch import save_file
from torch import nn

from mmext_instseg.models.backbones import CSPAMResNet
from mmext_instseg.models.layers import Mish, PositionAttention
from mmext_instseg.registry import MODELS

LEAKY = dict(type='LeakyReLU', negative_slope=0.01)  # what timm's and mmpretrain's weights were trained with


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def make(depth: int = 18, seed: int = 0, **changes) -> CSPAMResNet:
    torch.manual_seed(seed)
    return MODELS.build(dict(type='CSPAMResNet', **{'depth': depth, 'base_channels': 8, **changes}))


def names(model: nn.Module, kind: type) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


# ------------------------------------------------------------------------------------------------ the network


@pytest.mark.parametrize('depth', [18, 50, 101])
def test_fewer_parameters_than_resnet(depth):
    ours, every_gap, resnet = (
        count(model) for model in (CSPAMResNet(depth), CSPAMResNet(depth, (0, 1, 2, 3), (0, 1, 2, 3), True), ResNet(depth))
    )
    print(f'depth {depth}: CSPAMResNet {ours:,}, attention in every gap {every_gap:,}, ResNet {resnet:,}')
    assert ours < every_gap < resnet
    assert round(ours / 1e6, 2) == {18: 10.00, 50: 21.60, 101: 36.12}[depth]  # as the docstring has it


@pytest.mark.parametrize('depth', [18, 50, 101])
@pytest.mark.parametrize(('height', 'width'), [(64, 96), (61, 93), (33, 1)])
def test_strides_and_channels(depth, height, width):
    model = make(depth, attention_stages=(0, 1, 2, 3)).eval()
    outs = model(torch.randn(1, 3, height, width))
    assert model.out_channels == ((8, 16, 32, 64) if depth == 18 else (16, 32, 64, 128))
    shapes = [(1, c, -(-height // s), -(-width // s)) for c, s in zip(model.out_channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(out.shape) for out in outs] == shapes


def test_default_channels():
    assert CSPAMResNet(18).out_channels == (64, 128, 256, 512)
    assert CSPAMResNet(50).out_channels == CSPAMResNet(101, attention_stages=()).out_channels == (128, 256, 512, 1024)


def test_attention_stands_before_the_last_block_of_c4_and_c5():
    assert names(make(50), PositionAttention) == ['stages.2.blocks.attention4', 'stages.3.blocks.attention1']
    order = [name for name, _ in make(50).stages[2].blocks.named_children()]
    assert order == ['0', '1', '2', '3', 'attention4', '4']
    assert names(make(50, attention_stages=()), PositionAttention) == []
    assert [name[7] for name in names(make(18, attention_stages=(0, 1, 2, 3)), PositionAttention)] == ['0', '1', '2', '3']


def test_attention_in_every_gap():
    model = make(50, every_gap=True, residual=True)
    order = [name for name, _ in model.stages[2].blocks.named_children()]
    assert order == ['0', 'attention1', '1', 'attention2', '2', 'attention3', '3', 'attention4', '4']
    assert len(names(model, PositionAttention)) == 4 + 1 and all(m.residual for m in model.modules() if isinstance(m, PositionAttention))


def test_mish_is_the_only_activation():
    activations = [m for m in make(50).modules() if type(m).__module__ == 'torch.nn.modules.activation' or isinstance(m, nn.Mish)]
    assert activations and all(type(module) is Mish for module in activations)


def test_outputs_asked_for_and_nothing_after_them():
    model = make(50, out_indices=(2, 0))
    assert model.out_channels == (16, 64) and len(model.stages) == 3
    outs = model(torch.randn(2, 3, 64, 64))
    assert [out.shape[1] for out in outs] == [16, 64]
    outs[-1].square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('mixed', [False, True])
def test_every_parameter_has_a_gradient_and_mixed_precision_is_finite(depth, mixed):
    model = make(depth, attention_stages=(0, 1, 2, 3))
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        outs = model(torch.randn(2, 3, 61, 75))
    assert all(out.isfinite().all() for out in outs)
    sum((out.float() * torch.randn(out.shape)).sum() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('frozen', [-1, 0, 1, 4])
def test_frozen_stages_count_as_mmdets(frozen):
    model = make(frozen_stages=frozen)
    parts = {name: model.get_submodule(name) for name in ('stem', 'stages.0', 'stages.1', 'stages.2', 'stages.3')}
    expected = [place > frozen for place in range(5)]

    def trained() -> list[bool]:
        flags = [{parameter.requires_grad for parameter in part.parameters()} for part in parts.values()]
        assert all(len(flag) == 1 for flag in flags)
        return [flag.pop() for flag in flags]

    assert trained() == expected  # at once, so that DDP and the optimizer see it
    model.train()
    assert trained() == expected
    assert [any(module.training for module in part.modules()) for part in parts.values()] == expected


def test_norm_eval_and_eval_return_the_model():
    model = make(norm_eval=True).train()
    assert model.training and not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    assert all(module.training for module in make().train().modules() if isinstance(module, nn.BatchNorm2d))
    assert model.eval() is model


def test_group_norm():
    model = make(norm_cfg=dict(type='GN', num_groups=2))
    assert not names(model, nn.BatchNorm2d) and model(torch.randn(1, 3, 32, 32))[3].isfinite().all()


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(depth=34), 'depth must be 18, 50 or 101, not 34'),
        (dict(out_indices=(1, 4)), r'out_indices must be from 0 \(C2\) to 3 \(C5\), not \(1, 4\)'),
        (dict(out_indices=()), 'out_indices'),
        (dict(attention_stages=(-1,)), 'attention_stages'),
        (dict(frozen_stages=5), 'frozen_stages'),
        (dict(base_channels=6), 'base_channels must be a multiple of 4'),
    ],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        make(**changes)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name_and_no_num_classes(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = make()
    assert isinstance(model, CSPAMResNet) and not any(hasattr(module, 'num_classes') for module in model.modules())


# ------------------------------------------------------------------------------------------------ weights from a file


@pytest.fixture(scope='module')
def timm_model() -> nn.Module:
    """timm's cspresnet50 at random, with statistics that matter."""
    torch.manual_seed(0)
    model = timm.create_model('cspresnet50', zero_init_last=False).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    return model


@pytest.fixture
def log(monkeypatch) -> list[str]:
    """Messages to mmengine's current logger."""
    messages: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, message, *args: messages.append(message))
    monkeypatch.setattr(logger, 'info', lambda message, *args: messages.append(message))
    return messages


def pretrained(path, **changes) -> CSPAMResNet:
    model = make(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **changes)
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_same_features_as_timm(tmp_path, timm_model, log, suffix):
    path = tmp_path / f'cspresnet50{suffix}'
    (save_file if suffix == '.safetensors' else torch.save)(timm_model.state_dict(), path)
    model = pretrained(path, depth=50, base_channels=64, act_cfg=LEAKY)
    plain = pretrained(path, depth=50, base_channels=64, act_cfg=LEAKY, attention_stages=())
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = timm_model.forward_intermediates(images, intermediates_only=True)[-4:]
        for out, reference in zip(plain(images), expected, strict=True):
            assert reference.std() > 0.01
            torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-4)
        for out, reference in zip(model(images)[:2], expected[:2], strict=True):  # C2 and C3 have no attention
            torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-4)
    first, second = (message for message in log if message.startswith('CSPAMResNet: '))
    assert '330 of 344 tensors loaded from' in first and '330 of 330 tensors loaded from' in second
    assert 'initial values: stages.2.blocks.attention4, stages.3.blocks.attention1. ' in first
    assert 'initial values: nothing. In the file, not used: head.fc.' in second


def test_fewer_outputs_take_the_same_file(tmp_path, timm_model, log):
    path = tmp_path / 'cspresnet50.pth'
    torch.save(timm_model.state_dict(), path)
    model = pretrained(path, depth=50, base_channels=64, out_indices=(0, 1))
    assert torch.equal(model.stages[1].expand_conv.conv.weight, timm_model.stages[1].conv_exp.conv.weight)
    assert any('not used: stages.2, stages.3, head.fc.' in message for message in log)


def test_same_features_as_mmpretrain(tmp_path):
    torch.manual_seed(0)
    reference = CSPResNet(50, out_indices=(0, 1, 2, 3), act_cfg=LEAKY)
    reference.init_weights()
    reference.eval()
    state = {f'backbone.{key}': value for key, value in reference.state_dict().items()}
    torch.save(dict(state_dict={**state, 'head.fc.weight': torch.zeros(1)}), tmp_path / 'cspresnet50.pth')
    model = pretrained(tmp_path / 'cspresnet50.pth', depth=50, base_channels=64, act_cfg=LEAKY, attention_stages=())
    images = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        for out, expected in zip(model(images), reference(images), strict=True):
            assert torch.equal(out, expected)


def test_own_checkpoints_and_other_initialisers(tmp_path, log):
    source = make(seed=1)
    torch.save({f'backbone.{key}': value for key, value in source.state_dict().items()}, tmp_path / 'detector.pth')
    configs = [dict(type='Constant', layer='Conv2d', val=2.0), dict(type='Pretrained', checkpoint=str(tmp_path / 'detector.pth'))]
    model = make(seed=2, init_cfg=configs, attention_stages=(1, 2, 3))
    model.init_weights()
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in source.state_dict().items())
    assert model.init_cfg == configs and model.stages[1].blocks.attention1.theta == 0
    assert any('initial values: stages.1.blocks.attention1. In the file, not used: nothing.' in message for message in log)
    pretrained(tmp_path / 'detector.pth', attention_stages=(2,))
    assert any('In the file, not used: stages.3' in message for message in log)


def without(state: dict, key: str) -> dict:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (lambda: make(101).state_dict(), r'stages\.2\.blocks\.5\.conv1\.weight has no place'),
        (lambda: ResNet(18, base_channels=8).state_dict(), r'stages\.0\..* is missing.* and \d+ more'),
        (lambda: make(50, base_channels=4).state_dict(), r'stem\.0\.conv\.weight is \(4, 3, 7, 7\) instead of \(8, 3, 7, 7\)'),
        (lambda: without(make(50).state_dict(), 'stages.1.expand_conv.bn.bias'), r'stages\.1\.expand_conv\.bn\.bias is missing'),
        (lambda: make(50, norm_cfg=dict(type='GN', num_groups=2)).state_dict(), r'bn.* is missing'),
        (lambda: [1, 2], 'is missing'),
    ],
    ids=['depth 101', 'a ResNet', 'half as wide', 'a key is missing', 'group norm', 'a list'],
)
def test_another_networks_file_is_refused(tmp_path, content, said):
    torch.save(content(), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=f"other.pth doesn't fit CSPAMResNet.depth=50.*{said}.*keys of timm .*huggingface.co.*model zoo"):
        pretrained(tmp_path / 'other.pth', depth=50)


def test_a_missing_file_says_where_to_get_it_or_that_there_is_none():
    with pytest.raises(FileNotFoundError, match=r"'no/weights.pth'.*timm/cspresnet50.ra_in1k.*cspresnet50_3rdparty_8xb32_in1k"):
        pretrained('no/weights.pth', depth=50)
    with pytest.raises(FileNotFoundError, match=r"'no/weights.pth'.*no published weights of depth 101"):
        pretrained('no/weights.pth', depth=101)


# ------------------------------------------------------------------------------------------------ in mmdet's SOLOv2


@pytest.mark.parametrize('depth', [18, 50])
def test_mmdets_solov2_by_config_alone(depth):
    torch.manual_seed(0)
    config = copy.deepcopy(get_config('mmdet::solov2/solov2_r50_fpn_1x_coco.py').model)
    channels = make(depth).out_channels
    config.backbone = dict(type='CSPAMResNet', depth=depth, base_channels=8)
    config.neck = dict(type='TWFPN', in_channels=channels, out_channels=32, num_outs=5)
    config.mask_head.update(in_channels=32, feat_channels=32, stacked_convs=1, num_classes=3)
    config.mask_head.mask_feature_head.update(feat_channels=32, out_channels=32)
    model = MODELS.build(config)
    model.init_weights()
    data = model.data_preprocessor(demo_mm_inputs(2, [[3, 128, 96], [3, 110, 128]], num_classes=3, with_mask=True), True)
    losses = model(**data, mode='loss')
    sum(value if torch.is_tensor(value) else sum(value) for value in losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    model.eval()
    with torch.no_grad():
        for sample in model(**data, mode='predict'):
            assert sample.pred_instances.masks.shape[1:] == tuple(sample.ori_shape)


@pytest.mark.parametrize('depth', [18, 50])
def test_residual_blocks_start_as_the_identity(depth):
    model = make(depth)
    model.init_weights()
    blocks = [module for module in model.modules() if hasattr(module, 'norm2')]
    assert len(blocks) == {18: 8, 50: 13}[depth]
    for block in blocks:
        *first, last = (getattr(block, name).weight for name in ('norm1', 'norm2', 'norm3') if hasattr(block, name))
        assert not last.any() and all((weight == 1).all() for weight in first) and block.conv1.weight.any()
