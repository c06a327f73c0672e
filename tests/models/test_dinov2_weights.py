"""DINOv2's weights from local files, in every layout in which they are published."""

import pytest
import timm
import torch
from dinov2_small import ARCH, LAYOUTS, make, meta_layout, timm_model
from mmengine.logging import MMLogger
from safetensors.torch import save_file

from mmext_instseg.models.backbones import DINOv2ViT
from mmext_instseg.models.backbones.dinov2_vit import resize_positions


def pretrained(path, **changes) -> DINOv2ViT:
    model = make(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **changes)
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


@pytest.mark.parametrize('layout', list(LAYOUTS))
@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize('swiglu', [False, True])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_all_layouts_give_the_same_features(tmp_path, log, layout, registers, swiglu, suffix):
    source = timm_model(registers, swiglu)
    (save_file if suffix == '.safetensors' else torch.save)(LAYOUTS[layout](source), tmp_path / f'dino{suffix}')
    model = pretrained(tmp_path / f'dino{suffix}', arch=dict(ARCH, swiglu=swiglu), num_registers=registers)
    images = torch.randn(2, 3, 70, 70)
    with torch.no_grad():
        expected = source.forward_intermediates(images, norm=True, intermediates_only=True)
        for out, feature in zip(model(images), expected, strict=True):
            torch.testing.assert_close(out, feature, rtol=1e-4, atol=1e-4)
    total = len(model.state_dict())
    assert f"DINOv2ViT: the keys are {layout}'s." in log
    unused = 'nothing' if layout == 'timm' else 'mask_token'
    assert any(f'{total} of {total} tensors loaded' in line and f'not used: {unused}.' in line for line in log)


@pytest.mark.parametrize('prefix', ['backbone.', 'dinov2.', 'dinov2_with_registers.'])
def test_models_with_a_head(tmp_path, prefix):
    source = timm_model()
    state = {f'{prefix}{key}': value for key, value in LAYOUTS['Hugging Face'](source).items()}
    torch.save({**state, 'classifier.weight': torch.zeros(1)}, tmp_path / 'classifier.pth')
    assert torch.equal(pretrained(tmp_path / 'classifier.pth').blocks[2].attn.qkv.weight, source.blocks[2].attn.qkv.weight)


def test_own_checkpoints(tmp_path):
    source = make(seed=1, num_registers=4)
    state = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict={**state, 'neck.conv.weight': torch.zeros(1)}), tmp_path / 'detector.pth')
    model = pretrained(tmp_path / 'detector.pth', num_registers=4)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in model.state_dict().items())


def test_fewer_taps_take_the_same_file(tmp_path, log):
    torch.save(meta_layout(timm_model()), tmp_path / 'dino.pth')
    pretrained(tmp_path / 'dino.pth', taps=(1, 2))
    assert any('not used: mask_token, blocks.2, blocks.3.' in line or 'not used: blocks.2, blocks.3, mask_token.' in line for line in log)


@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize('layout', list(LAYOUTS))
def test_positions_of_another_grid_are_resized(tmp_path, log, layout, registers):
    source = timm_model(registers)
    torch.save(LAYOUTS[layout](source), tmp_path / 'dino.pth')
    model = pretrained(tmp_path / 'dino.pth', num_registers=registers, img_size=42)
    own = 0 if registers else 1
    expected = resize_positions(source.pos_embed[:, own:], (3, 3), antialias=bool(registers))
    torch.testing.assert_close(model.pos_embed[:, own:], expected)
    if own:
        assert torch.equal(model.pos_embed[:, :1], source.pos_embed[:, :1])
    assert 'DINOv2ViT: position embeddings of 5x5 patches resized to 3x3.' in log


def without(state: dict, key: str) -> dict:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (lambda: meta_layout(timm_model(4)), 'reg_token has no place'),
        (lambda: make(arch=dict(ARCH, depth=5)).state_dict(), r'blocks\.4\..* has no place'),
        (lambda: make(arch=dict(ARCH, depth=3)).state_dict(), r'blocks\.3\..* is missing'),
        (lambda: make(arch=dict(ARCH, embed_dim=32)).state_dict(), r'is \(.*32.*\) instead of \(.*48.*\)'),
        (lambda: make(arch=dict(ARCH, swiglu=True)).state_dict(), r'mlp\.fc1\.weight is \(256, 48\) instead of \(192, 48\)'),
        (
            lambda: without(LAYOUTS['Hugging Face'](timm_model()), 'encoder.layer.1.attention.attention.key.weight'),
            r'blocks\.1\.attn\.qkv\.weight is missing',
        ),
        (lambda: without(meta_layout(timm_model(4)), 'pos_embed'), 'pos_embed is missing'),
        (lambda: timm.create_model('resnet18').state_dict(), r'blocks\..* is missing.* and \d+ more'),
        (lambda: [1, 2], 'is missing'),
    ],
    ids=['registers', 'deeper', 'shallower', 'narrower', 'SwiGLU', 'a key', 'positions', 'a ResNet', 'a list'],
)
def test_another_networks_file_is_refused(tmp_path, content, said):
    torch.save(content(), tmp_path / 'other.pth')
    with pytest.raises(
        ValueError, match=f"other.pth doesn't fit DINOv2ViT.*{said}.*num_registers=0, patch_size=14.*Meta's, timm's or Hugging"
    ):
        pretrained(tmp_path / 'other.pth')


@pytest.mark.parametrize(
    ('registers', 'names'),
    [
        (0, ['dinov2_vitb14/dinov2_vitb14_pretrain.pth', 'facebook/dinov2-base ', 'timm/vit_base_patch14_dinov2.lvd142m']),
        (4, ['dinov2_vitb14_reg4_pretrain.pth', 'facebook/dinov2-with-registers-base ', 'timm/vit_base_patch14_reg4_dinov2.lvd142m']),
    ],
)
def test_a_missing_file_says_where_to_get_it(registers, names):
    with torch.device('meta'):
        model = DINOv2ViT('base', registers)
    with pytest.raises(FileNotFoundError, match=r"'no/weights\.pth'") as error:
        model.load_weights('no/weights.pth')
    assert all(name in str(error.value) for name in names)
