import mmpretrain.models
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from mmext_instseg.models.backbones import VGGDeepLab
from mmext_instseg.registry import MODELS

BN = dict(type='BN')


def torchvision_vgg(letter: str = 'D', batch_norm: bool = False, seed: int = 0) -> tuple[nn.Sequential, dict]:
    """torchvision's convolutional layers ('A', 'B', 'D', 'E': depth 11, 13, 16, 19), and a file's content with them."""
    torch.manual_seed(seed)
    layers = make_layers(cfgs[letter], batch_norm=batch_norm).eval()
    for module in layers:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
            nn.init.uniform_(module.bias, -0.1, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    state = {f'features.{key}': value for key, value in layers.state_dict().items()}
    return layers, {**state, 'classifier.0.weight': torch.zeros(2, 2), 'classifier.0.bias': torch.zeros(2)}


def saved(path, content) -> str:
    torch.save(content, path)
    return str(path)


def pretrained(path: str, **changes) -> VGGDeepLab:
    model = MODELS.build(dict(type='VGGDeepLab', init_cfg=dict(type='Pretrained', checkpoint=path), **changes))
    model.init_weights()
    return model.eval()


@pytest.fixture
def log(monkeypatch) -> list[str]:
    """Messages to mmengine's current logger."""
    messages: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, message, *args: messages.append(message))
    monkeypatch.setattr(logger, 'info', lambda message, *args: messages.append(message))
    return messages


@pytest.mark.parametrize('batch_norm', [False, True])
def test_same_features_as_torchvision(tmp_path, batch_norm, log):
    layers, content = torchvision_vgg('D', batch_norm)
    model = pretrained(saved(tmp_path / 'vgg.pth', content), out_indices=(4, 0, 2), norm_cfg=BN if batch_norm else None)
    images = torch.randn(2, 3, 48, 32)
    pools = [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    with torch.no_grad():
        outs = model(images)
        expected = [layers[: pools[stage]](images) for stage in (4, 0, 2)]
    for out, reference in zip(outs, expected, strict=True):
        assert reference.std() > 0.1
        torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-4)
    report = next(message for message in log if 'VGGDeepLab:' in message)
    assert f'{91 if batch_norm else 26} of {26 + 65 * batch_norm + 30} tensors loaded from' in report
    assert 'initial values: extra.0, extra.1, extra.2, extra.3, extra.4.' in report and 'not used: classifier.0.' in report


@pytest.mark.parametrize('norm_cfg', [None, BN])
def test_same_features_as_mmpretrain(tmp_path, norm_cfg):
    torch.manual_seed(0)
    reference = mmpretrain.models.VGG(11, norm_cfg=norm_cfg, out_indices=(4,), with_last_pool=False)
    reference.init_weights()
    reference.eval()
    state = {f'backbone.{key}': value for key, value in reference.state_dict().items()}
    state['backbone.classifier.0.weight'] = torch.zeros(2, 2)
    path = saved(tmp_path / 'vgg11.pth', dict(meta=dict(epoch=100), state_dict=state))
    images = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        out = pretrained(path, depth=11, out_indices=(4,), norm_cfg=norm_cfg)(images)[0]
        torch.testing.assert_close(out, reference(images)[0])


def test_own_checkpoints_load_bare_and_of_a_detector(tmp_path, log):
    torch.manual_seed(0)
    model = VGGDeepLab(11, extra_channels=8)
    state = model.state_dict()
    bare = saved(tmp_path / 'bare.pth', state)
    detector = {**{f'backbone.{key}': value for key, value in state.items()}, 'heads.instance.project.weight': torch.zeros(1)}
    detector = saved(tmp_path / 'detector.pth', dict(state_dict=detector))
    for path, prefix in ((bare, None), (detector, None), (detector, 'backbone')):
        found = VGGDeepLab(11, extra_channels=8, init_cfg=dict(type='Pretrained', checkpoint=path, prefix=prefix))
        found.init_weights()
        assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())
    assert any('initial values: nothing.' in message and 'not used: heads.instance.' in message for message in log)


def test_init_weights_keeps_the_other_initialisers_and_runs_once(tmp_path):
    _, content = torchvision_vgg('A')
    path = saved(tmp_path / 'vgg11.pth', content)
    configs = [dict(type='Pretrained', checkpoint=path), dict(type='Constant', layer='Conv2d', val=2.0)]
    model = VGGDeepLab(11, extra_channels=4, num_extra_convs=1, init_cfg=configs)
    model.init_weights()
    assert torch.equal(model.features[0].conv.weight, content['features.0.weight']) and (model.extra[0].conv.weight == 2).all()
    assert model.init_cfg == configs
    nn.init.zeros_(model.features[0].conv.weight)
    model.init_weights()
    assert (model.features[0].conv.weight == 0).all()


def without(content: dict, key: str) -> dict:
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ('content', 'changes', 'said'),
    [
        (lambda: torchvision_vgg('B')[1], {}, r'features\.22\.weight has no place'),
        (lambda: torchvision_vgg('A', True)[1], {}, r'features\.0\.bn\.weight has no place'),
        (lambda: torchvision_vgg('A')[1], dict(norm_cfg=BN), r'features\.0\.bn\.bias is missing.*with batch norm'),
        (lambda: without(torchvision_vgg('A')[1], 'features.18.bias'), {}, r'features\.11\.conv\.bias is missing'),
        (lambda: {'layer1.0.conv1.weight': torch.zeros(1)}, {}, r'features\.0\.conv\.bias is missing.* and \d+ more'),
        (lambda: [1, 2], {}, r'features\.0\.conv\.bias is missing'),
        (
            lambda: VGGDeepLab(11, extra_channels=4).state_dict(),
            {},
            r'extra\.0\.conv\.weight is \(4, 512, 3, 3\) instead of \(8,',
        ),
    ],
    ids=['depth 13', 'batch norm in the file', 'batch norm in the model', 'a bias is missing', 'a ResNet', 'a list', 'extra channels'],
)
def test_another_networks_file_is_refused(tmp_path, content, changes, said):
    path = saved(tmp_path / 'other.pth', content())
    with pytest.raises(ValueError, match=f"other.pth doesn't fit VGGDeepLab.*{said}.*keys of torchvision .*vgg11.*model zoo"):
        pretrained(path, depth=11, extra_channels=8, **changes)


def test_a_missing_file_says_where_to_get_it():
    with pytest.raises(FileNotFoundError, match=r"'no/vgg16.pth'.*download.pytorch.org/models/vgg16-397923af.pth.*vgg16_batch256_imagenet"):
        pretrained('no/vgg16.pth')


def test_a_file_with_code_is_refused(tmp_path):
    path = saved(tmp_path / 'whole.pth', nn.Conv2d(1, 1, 1))  # a pickled module
    with pytest.raises(Exception, match=r'whole\.pth is refused'):
        pretrained(path, depth=11)


@pytest.mark.parametrize(('output_stride', 'last'), [(16, 16), (8, 8)])
@pytest.mark.parametrize(('height', 'width'), [(64, 96), (37, 53), (1, 1)])
def test_strides_round_up(output_stride, last, height, width):
    model = VGGDeepLab(11, output_stride, out_indices=range(6), extra_channels=6, num_extra_convs=1).eval()
    outs = model(torch.randn(1, 3, height, width))
    strides, channels = (1, 2, 4, 8, last, last), (64, 128, 256, 512, 512, 6)
    assert [tuple(out.shape) for out in outs] == [(1, c, -(-height // s), -(-width // s)) for c, s in zip(channels, strides, strict=True)]


def test_default_outputs():
    model = VGGDeepLab().eval()
    assert [tuple(out.shape) for out in model(torch.randn(1, 3, 32, 64))] == [(1, 256, 8, 16), (1, 512, 2, 4)]
    assert len(model.extra) == 5 and sum(isinstance(module, nn.Conv2d) for module in model.features.modules()) == 13


@pytest.mark.parametrize(('output_stride', 'conv5', 'extra'), [(16, 1, 2), (8, 2, 4)])
def test_dilations(output_stride, conv5, extra):
    model = VGGDeepLab(16, output_stride, extra_channels=4)
    dilations = [module.dilation[0] for module in model.features.modules() if isinstance(module, nn.Conv2d)]
    assert dilations == [1] * 10 + [conv5] * 3
    assert [layer.conv.dilation for layer in model.extra] == [(extra, extra)] * 5


@pytest.mark.parametrize('shape', [(64, 96), (57, 75)])
def test_output_stride_8_holds_the_values_of_16(shape):
    torch.manual_seed(0)
    fine, coarse = (VGGDeepLab(11, stride, extra_channels=8).eval() for stride in (8, 16))
    coarse.load_state_dict(fine.state_dict())
    images = torch.randn(1, 3, *shape)
    with torch.no_grad():
        torch.testing.assert_close(fine(images)[1][..., ::2, ::2], coarse(images)[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('dilation', [2, 4])
def test_reach_of_the_added_convolutions(dilation):
    model = VGGDeepLab(11, 32 // dilation, extra_channels=2, extra_norm_cfg=None)
    for name, value in model.extra.named_parameters():
        nn.init.constant_(value, 0.001 if name.endswith('weight') else 0.0)
    values = torch.ones(1, 512, 1, 51, requires_grad=True)
    model.extra(values)[0, 0, 0, 25].backward()
    reached = values.grad[0, 0, 0].nonzero().flatten().tolist()
    assert reached == list(range(25 - 5 * dilation, 26 + 5 * dilation, dilation))


def test_frozen_stages_have_no_gradient_and_norm_eval_spares_the_added_convolutions():
    model = VGGDeepLab(11, extra_channels=4, frozen_stages=2, norm_cfg=BN, norm_eval=True).train()
    sum(out.sum() for out in model(torch.randn(2, 3, 32, 32))).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    convs = {'4', '5', '7', '8', '10', '11'}  # stages 3 to 5 of 1, 1, 2, 2, 2 convolutions, each stage followed by a pool
    assert {name.split('.')[1] for name in trained if name.startswith('features')} == convs
    assert not any(module.training for module in model.features.modules() if isinstance(module, nn.BatchNorm2d))
    assert all(module.training for module in model.extra.modules() if isinstance(module, nn.BatchNorm2d))
    assert model.eval() is model


def test_only_the_last_layers_are_fine_tuned():
    model = VGGDeepLab(11, extra_channels=4, frozen_stages=5)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all(name.startswith('extra.') for name in trained)
    model(torch.randn(2, 3, 32, 32))[1].sum().backward()
    assert all(parameter.grad is None for parameter in model.features.parameters())


@pytest.mark.parametrize(
    ('changes', 'said'),
    [(dict(output_stride=32), 'output_stride'), (dict(out_indices=(2, 6)), 'out_indices'), (dict(frozen_stages=6), 'frozen_stages')],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        VGGDeepLab(11, **changes)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name_and_no_num_classes(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(dict(type='VGGDeepLab', depth=11))
    assert isinstance(model, VGGDeepLab) and not any(hasattr(module, 'num_classes') for module in model.modules())


def test_mixed_precision_is_finite():
    model = VGGDeepLab(11)
    model.init_weights()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low, high = model(torch.randn(2, 3, 64, 64))
    assert low.dtype == torch.bfloat16
    assert torch.isfinite(low).all() and torch.isfinite(high).all()
    high.float().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
