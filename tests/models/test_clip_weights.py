"""CLIP's weights from any layout to both towers; frozen towers and checkpoints."""

import copy
from pathlib import Path

import open_clip
import pytest
import torch
from clip_small import LAYOUTS, VISION, clip_model, hugging_face, make, save_archive
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import load_checkpoint, save_checkpoint
from mmengine.runner.checkpoint import get_state_dict
from torch import Tensor, nn

from mmext_instseg.models.layers.clip_keys import to_open_clip
from mmext_instseg.models.layers.frozen_weights import fingerprint

BOTH = pytest.mark.parametrize('tower', ['visual', 'text'])
PHRASES = ['a red cup', 'the small circle left of the square', 'dog']


@pytest.fixture
def log(monkeypatch) -> list[str]:
    """Messages to mmengine's current logger."""
    messages: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, message, *args: messages.append(message))
    monkeypatch.setattr(logger, 'info', lambda message, *args: messages.append(message))
    return messages


def write(path: Path, layout: str = 'open_clip', seed: int = 0) -> open_clip.CLIP:
    model = clip_model(seed)
    LAYOUTS[layout][1](model, path)
    return model


def loaded(tower: str, path: Path, seed: int = 1, **changes) -> nn.Module:
    model = make(tower, seed, weights=str(path), **changes)
    model.init_weights()
    return model.eval()


def outputs(tower: str, model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(PHRASES) if tower == 'text' else model(torch.ones(1, 3, 64, 64))[-1]


def same(model: nn.Module, other: nn.Module) -> bool:
    theirs = dict(other.named_parameters())
    return all(torch.equal(value, theirs[key]) for key, value in model.named_parameters())


# ------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize('layout', list(LAYOUTS))
def test_all_layouts_give_the_same_features(tmp_path, log, layout):
    path = tmp_path / ('clip.safetensors' if 'safetensors' in layout else 'clip.pt')
    source = write(path, layout)
    visual, text = loaded('visual', path), loaded('text', path)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        taps = source.visual.forward_intermediates(images, indices=[0, 2])['image_intermediates']
        for out, expected in zip(visual(images), taps, strict=True):
            torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
        expected = source.encode_text(open_clip.tokenize(PHRASES))
        torch.testing.assert_close(text(PHRASES), expected, rtol=1e-4, atol=1e-5)
    for name, model in (('CLIPViT', visual), ('OpenCLIPTextEncoder', text)):
        total = len(list(model.parameters()))
        assert f"{name}: the keys are {LAYOUTS[layout][0]}'s." in log
        assert any(f'{name}: {total} of {total} tensors loaded' in line and 'initial values: nothing' in line for line in log)
    report = next(line for line in log if 'CLIPViT' in line and 'not used' in line).split('not used: ')[1]
    unused = {'visual.transformer.resblocks.3', 'visual.ln_post.weight', 'visual.ln_post.bias', 'visual.proj', 'logit_scale'}
    assert unused <= set(report.removesuffix('.').split(', '))


def test_the_other_tower_and_what_is_no_clip_keep_out():
    found, layout = to_open_clip({**hugging_face(clip_model()), 'decoder.film_mul.weight': torch.zeros(1)})
    assert layout == 'Hugging Face' and 'decoder.film_mul.weight' in found
    assert {key.split('.')[0] for key in found} == {'visual', 'text', 'logit_scale', 'decoder'}


@BOTH
def test_our_own_checkpoints(tmp_path, tower):
    source = make(tower, 5)
    prefix = dict(visual='backbone.', text='text_encoder.')[tower]
    state = {f'{prefix}{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict={**state, 'neck.conv.weight': torch.zeros(1)}), tmp_path / 'detector.pth')
    assert same(loaded(tower, tmp_path / 'detector.pth'), source)


@BOTH
def test_openais_weights_need_quick_gelu(tmp_path, tower):
    save_archive(clip_model(), tmp_path / 'ViT.pt')
    with pytest.raises(ValueError, match=r"the weights are OpenAI's, whose networks have another GELU: set quick_gelu=True"):
        loaded(tower, tmp_path / 'ViT.pt', quick_gelu=False)


@pytest.mark.parametrize(
    ('tower', 'changes', 'said'),
    [
        ('visual', dict(arch=dict(VISION, width=48)), r'is \(32.* instead of \(48'),
        ('visual', dict(arch=dict(VISION, layers=3)), r'visual\.transformer\.resblocks\.3\..* has no place'),
        ('visual', dict(arch=dict(VISION, layers=6), taps=(5,)), r'visual\.transformer\.resblocks\.4\..* is missing.* and \d+ more'),
        ('visual', dict(arch=dict(VISION, image_size=96)), r'visual\.positional_embedding is \(17, 32\) instead of \(37, 32\)'),
        ('text', dict(arch=dict(embed_dim=16, width=48, heads=3, layers=2)), r'text\.text_projection is \(48, 24\) instead of \(48, 16\)'),
    ],
)
def test_another_networks_file_is_refused(tmp_path, tower, changes, said):
    write(tmp_path / 'clip.pt')
    with pytest.raises(
        ValueError, match=f"clip.pt doesn't fit .*{said}.*Expected is a local file of CLIP .*OpenAI's, open_clip's or Hugging"
    ):
        loaded(tower, tmp_path / 'clip.pt', **changes)


@BOTH
def test_no_clip_at_all_and_no_file(tmp_path, tower):
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'other.pt')
    with pytest.raises(ValueError, match=r'is missing.* and \d+ more'):
        loaded(tower, tmp_path / 'other.pt')
    model = make(tower)
    model.arch = 'ViT-B-16'
    with pytest.raises(FileNotFoundError, match=r"no file 'no/ViT\.pt'.*Download OpenAI's ViT-B-16\.pt, or .*openai/clip-vit-base-patch16"):
        model.load_weights('no/ViT.pt')


# ------------------------------------------------------------------------------------------------ frozen towers and checkpoints


class Detector(nn.Module):
    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower, self.neck = tower, nn.Conv2d(2, 3, 1)


def checkpoint_of(model: nn.Module, path: Path) -> dict[str, Tensor]:
    """As mmengine's hook writes it."""
    save_checkpoint(dict(state_dict=get_state_dict(model), meta={}), str(path))
    return torch.load(path, weights_only=True)['state_dict']


@BOTH
@pytest.mark.parametrize('states', [get_state_dict, lambda model: model.state_dict()], ids=['mmengine', 'torch'])
def test_a_frozen_towers_file_stands_in_checkpoints_by_32_bytes(tmp_path, tower, states):
    write(tmp_path / 'clip.pt')
    model = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    found = states(model)
    assert set(found) == {'tower.fingerprint', 'neck.weight', 'neck.bias'} and found['tower.fingerprint'].shape == (32,)
    whole = states(Detector(loaded(tower, tmp_path / 'clip.pt')))
    assert 'tower.fingerprint' not in whole and len(whole) == len(list(model.parameters()))


@BOTH
@pytest.mark.parametrize('initialised', [True, False], ids=['resumed', 'tested'])
def test_a_checkpoint_restores_the_tower_from_its_file(tmp_path, tower, initialised):
    """Training initialises weights before it loads a checkpoint; testing doesn't."""
    write(tmp_path / 'clip.pt')
    source = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    checkpoint_of(source, tmp_path / 'epoch_1.pth')
    model = Detector(make(tower, 7, frozen=True, weights=str(tmp_path / 'clip.pt')))
    if initialised:
        model.tower.init_weights()
    expected = outputs(tower, source.tower)
    before = outputs(tower, model.tower)
    assert torch.equal(before, expected) == initialised
    load_checkpoint(model, str(tmp_path / 'epoch_1.pth'), strict=True)
    assert same(model, source) and torch.equal(outputs(tower, model.tower), expected)
    assert set(model.state_dict()) == set(source.state_dict())


@BOTH
def test_torchs_own_loading_and_another_layout_of_the_same_weights(tmp_path, tower):
    half = clip_model().half().float()
    torch.save(half.state_dict(), tmp_path / 'clip.pt')
    torch.save({key: value.half() for key, value in hugging_face(half).items()}, tmp_path / 'hf.pt')
    source = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    model = Detector(make(tower, 7, frozen=True, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'hf.pt'))))
    given = source.state_dict()
    model.load_state_dict(given)
    assert same(model, source) and set(given) == {'tower.fingerprint', 'neck.weight', 'neck.bias'}


@BOTH
def test_a_missing_or_different_file_is_named(tmp_path, tower):
    write(tmp_path / 'clip.pt')
    write(tmp_path / 'other.pt', seed=3)
    path = str(tmp_path / 'epoch_1.pth')
    found = checkpoint_of(Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True)), Path(path))['tower.fingerprint']
    digest = bytes(found.tolist()).hex()[:12]
    with pytest.raises(ValueError, match=rf"frozen weights, which aren't in it .*\(fingerprint {digest}\); none is named.*weights=PATH"):
        load_checkpoint(Detector(make(tower, frozen=True)), path)
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*gone\.pt'. Expected is a local file of CLIP"):
        load_checkpoint(Detector(make(tower, frozen=True, weights=str(tmp_path / 'gone.pt'))), path)
    for model in (make(tower, frozen=True, weights=str(tmp_path / 'other.pt')), loaded(tower, tmp_path / 'other.pt', frozen=True)):
        with pytest.raises(ValueError, match=rf'{digest}\); .*other\.pt holds others \(fingerprint \w+\)\. Name that file'):
            load_checkpoint(Detector(model), path)


@BOTH
def test_a_checkpoint_that_says_nothing_of_the_tower_leaves_it_with_its_file(tmp_path, tower):
    write(tmp_path / 'clip.pt')
    source = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    rest = {key: value for key, value in source.state_dict().items() if not key.startswith('tower.')}
    torch.save(rest, tmp_path / 'neck.pth')
    model = Detector(make(tower, 7, frozen=True, weights=str(tmp_path / 'clip.pt')))
    load_checkpoint(model, str(tmp_path / 'neck.pth'))
    assert torch.equal(outputs(tower, model.tower), outputs(tower, source.tower))
    with pytest.raises(FileNotFoundError, match=r'gone\.pt'):
        load_checkpoint(Detector(make(tower, frozen=True, weights=str(tmp_path / 'gone.pt'))), str(tmp_path / 'neck.pth'))


@BOTH
def test_weights_of_no_file_stay_in_checkpoints(tmp_path, tower):
    """Of a tower frozen as it is, or one that a checkpoint brought."""
    random = Detector(make(tower, frozen=True))
    assert len(checkpoint_of(random, tmp_path / 'random.pth')) == len(list(random.parameters()))
    write(tmp_path / 'clip.pt')
    trained = Detector(make(tower, 9))
    checkpoint_of(trained, tmp_path / 'trained.pth')
    model = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    load_checkpoint(model, str(tmp_path / 'trained.pth'), strict=True)
    assert same(model, trained)
    again = checkpoint_of(model, tmp_path / 'again.pth')
    assert set(again) == set(trained.state_dict())
    restored = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    load_checkpoint(restored, str(tmp_path / 'again.pth'), strict=True)
    assert same(restored, trained)


@BOTH
def test_a_checkpoint_with_a_fingerprint_loads_for_training_the_tower_too(tmp_path, tower):
    write(tmp_path / 'clip.pt')
    source = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    checkpoint_of(source, tmp_path / 'epoch_1.pth')
    model = Detector(make(tower, 7, weights=str(tmp_path / 'clip.pt')))
    load_checkpoint(model, str(tmp_path / 'epoch_1.pth'), strict=True)
    assert same(model, source) and all(parameter.requires_grad for parameter in model.parameters())
    assert len(model.state_dict()) == len(list(model.parameters()))


@BOTH
def test_copies_and_averages_keep_it(tmp_path, tower):
    write(tmp_path / 'clip.pt')
    model = Detector(loaded(tower, tmp_path / 'clip.pt', frozen=True))
    assert set(copy.deepcopy(model).state_dict()) == set(model.state_dict())
    for update_buffers in (False, True):
        average = ExponentialMovingAverage(model, update_buffers=update_buffers)
        for _ in range(3):
            average.update_parameters(model)
        assert same(average.module, model)
        assert set(average.state_dict()) == {'steps', *(f'module.{key}' for key in model.state_dict())}
        hook = EMAHook()
        hook.ema_model, hook.src_model = average, model
        saved = dict(state_dict=model.state_dict(), ema_state_dict=average.state_dict())
        hook._swap_ema_state_dict(saved)
        model.load_state_dict(saved['state_dict'])


def test_fingerprints():
    state = dict(a=torch.tensor([1.0, 2.5]), b=torch.tensor([[3.0]]))
    assert len(fingerprint(state)) == 32
    for alike in (dict(reversed(state.items())), {key: value.half() for key, value in state.items()}):
        assert fingerprint(alike) == fingerprint(state)
    for other in (
        dict(state, b=torch.tensor([3.0])),
        dict(state, a=torch.tensor([2.5, 1.0])),
        dict(a=state['a']),
        dict(c=state['a'], b=state['b']),
    ):
        assert fingerprint(other) != fingerprint(state)
