"""CLIPSeg's decoder within ours: the same states, with its weights from either layout."""

import pytest
import torch
from clipseg_small import LAYOUTS, CLIPSeg, clipseg, hugging_face
from decoder_small import make, taps
from mmengine.logging import MMLogger
from safetensors.torch import save_file

from mmext_instseg.models.necks import DistanceMapDecoder


@pytest.fixture
def log(monkeypatch) -> list[str]:
    messages: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, message, *args: messages.append(message))
    monkeypatch.setattr(logger, 'info', lambda message, *args: messages.append(message))
    return messages


@pytest.mark.parametrize('layout', list(LAYOUTS))
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('fusion', ['none', 'hybrid', 'hierarchical'])
def test_clipsegs_decoder_with_its_weights(tmp_path, log, layout, suffix, fusion):
    source = clipseg()
    path = str(tmp_path / f'rd64{suffix}')
    (save_file if suffix == '.safetensors' else torch.save)(LAYOUTS[layout](source), path)
    model = make(fusion=fusion, init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    feats, condition = taps(), torch.randn(2, 6)
    with torch.no_grad():
        states = model.eval().states(feats, condition, None)
        torch.testing.assert_close(states[-1], source(feats, condition), rtol=1e-4, atol=1e-5)
    assert f"DistanceMapDecoder: the keys are {layout}'s." in log
    report = next(line for line in log if 'tensors loaded' in line)
    matched = sum(key.startswith(('reduces.', 'film.', 'blocks.')) for key in model.state_dict())
    assert matched == 6 + 4 + 36 and f'{matched} of {len(model.state_dict())} tensors loaded' in report
    assert 'initial values: ' + ('projects.0' if fusion == 'hybrid' else 'stages.0') in report
    unused = set(report.split('not used: ')[1].removesuffix('.').split(', '))
    assert unused == {'reduce.weight', 'reduce.bias', 'trans_conv.weight', 'trans_conv.bias'} | (
        {'clip.logit_scale'} if layout == 'Hugging Face' else set()
    )


def test_rd64_fits_as_it_is(tmp_path):
    """The sizes of the published file: ViT-B/16, 64 channels, 4 heads, 2048 hidden channels."""
    source = CLIPSeg(768, 512, 64, 4, 2048)
    assert sum(parameter.numel() for parameter in source.blocks.parameters()) == 3 * 281152
    torch.save(source.state_dict(), tmp_path / 'rd64-uni.pth')
    model = DistanceMapDecoder(fusion='hybrid', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'rd64-uni.pth')))
    model.load_files()
    assert torch.equal(model.film.mul.weight, source.film_mul.weight) and model.blocks[0].self_attn.num_heads == 4
    assert torch.equal(model.blocks[2].linear1.weight, source.blocks[2].linear1.weight)


def test_an_ordinary_neck_takes_no_film(tmp_path, log):
    torch.save(clipseg().state_dict(), tmp_path / 'rd64.pth')
    model = make(condition_channels=None)
    model.load_weights(str(tmp_path / 'rd64.pth'))
    assert model.film is None and any('not used: film.mul, film.add, reduce.weight' in line for line in log)


def test_our_own_checkpoints(tmp_path):
    source = make(5)
    state = {f'neck.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict={**state, 'backbone.x': torch.zeros(1)}), tmp_path / 'detector.pth')
    model = make()
    model.load_weights(str(tmp_path / 'detector.pth'))
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (lambda: clipseg(width=16).state_dict(), r'reduces\.0\.weight is \(8, 16\) instead of \(8, 12\)'),
        (lambda: clipseg(condition=5).state_dict(), r'film\.mul\.weight is \(8, 5\) instead of \(8, 6\)'),
        (lambda: {k: v for k, v in clipseg().state_dict().items() if 'blocks.1.norm2' not in k}, r'blocks\.1\.norm2\.bias is missing'),
        (lambda: {k: v for k, v in hugging_face(clipseg()).items() if 'layers.2.self_attn.k_proj' not in k}, r'blocks\.2.*in_proj_bias is'),
    ],
    ids=['another CLIP', 'another text tower', 'a key', 'a part of a key'],
)
def test_another_networks_file_is_refused(tmp_path, content, said):
    torch.save(content(), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=rf"other\.pth doesn't fit DistanceMapDecoder.*{said}.*rd64-uni\.pth of github"):
        make().load_weights(str(tmp_path / 'other.pth'))
