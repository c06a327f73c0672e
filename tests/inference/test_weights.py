"""Weights of another model are refused; what isn't in a checkpoint by design is not missed."""

from pathlib import Path

import pytest
import torch
from clip_small import clip_model, make
from mmengine.config import Config
from torch import nn

from mmext_instseg.inference import TextQueryInferencer, TiledInferencer, check_weights, open_detector


def network(width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, width, 1, bias=False), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1))


def write(path: Path, state: dict) -> Path:
    torch.save(dict(state_dict=state, meta={}), path)
    return path


def test_the_same_network_wrapped_or_with_more(tmp_path):
    state = network().state_dict()
    state.pop('1.num_batches_tracked')
    check_weights(network(), write(tmp_path / 'same.pth', state))
    more = {f'module.{key}': value for key, value in state.items()} | {'module.auxiliary.weight': torch.zeros(1)}
    check_weights(network(), write(tmp_path / 'more.pth', more))


def test_another_width(tmp_path):
    """Of 5 parameters the last bias fits; the running statistics do not either, and are no parameters."""
    path = write(tmp_path / 'wide.pth', network(8).state_dict())
    with pytest.raises(ValueError) as error:
        check_weights(network(), path, 'my.py')
    assert str(error.value) == (
        f"{path} doesn't fit the Sequential of my.py: 1 of its 5 parameters match. "
        '0.weight is (4, 3, 1, 1) here and (8, 3, 1, 1) in the file, 1.weight is (4) here and (8) in the file, '
        '1.bias is (4) here and (8) in the file, and 3 more. Give the config that this checkpoint was trained with (a training leaves '
        'it beside its checkpoints) and the same --cfg-options, or a checkpoint of this config'
    )


def test_another_model_and_running_statistics(tmp_path):
    path = write(tmp_path / 'other.pth', {f'backbone.{key}': value for key, value in network().state_dict().items()})
    with pytest.raises(ValueError, match=r'0 of its 5 parameters match\. 0\.weight is not in the file.*and 2 more'):
        check_weights(network(), path)
    state = network().state_dict()
    state['1.running_mean'] = torch.zeros(7)
    with pytest.raises(ValueError, match=r'5 of its 5 parameters match\. 1\.running_mean is \(4\) here and \(7\) in the file\. Give'):
        check_weights(network(), write(tmp_path / 'buffer.pth', state))


@pytest.mark.parametrize('named', [True, False], ids=['fingerprint', 'nothing'])
def test_a_frozen_tower_is_not_missed(tmp_path, named):
    torch.save(clip_model().state_dict(), tmp_path / 'clip.pt')

    def detector(seed: int, **changes) -> nn.ModuleDict:
        return nn.ModuleDict(dict(backbone=make('visual', seed, frozen=True, **changes), neck=nn.Linear(2, 3)))

    source = detector(1, weights=str(tmp_path / 'clip.pt'))
    source['backbone'].init_weights()
    state = source.state_dict()
    assert set(state) == {'backbone.fingerprint', 'neck.weight', 'neck.bias'}
    if not named:
        state.pop('backbone.fingerprint')
    path = write(tmp_path / 'epoch_1.pth', state)
    check_weights(detector(2, weights=str(tmp_path / 'clip.pt')), path)
    if not named:
        with pytest.raises(ValueError, match=r' 2 of its \d+ parameters match\. backbone\.\S+ is not in the file'):
            check_weights(detector(2), path)
    state.pop('neck.bias')
    write(path, state)
    with pytest.raises(ValueError, match=r' \d+ of its \d+ parameters match\. neck\.bias is not in the file\. Give'):
        check_weights(detector(2, weights=str(tmp_path / 'clip.pt')), path)


def test_whatever_opens_a_model_refuses(untrained_text_model, tmp_path, capsys):
    config, weights = untrained_text_model
    cfg = Config.fromfile(config)
    cfg.model.heads.mask = dict(cfg.model.heads.mask, in_channels=3)
    path = write(tmp_path / 'other.pth', dict(torch.load(weights, weights_only=True)['state_dict'], **{'neck.new': torch.zeros(1)}))
    for opened in (
        lambda: open_detector(cfg, path, 'cpu'),
        lambda: TextQueryInferencer(cfg, path, device='cpu'),
        lambda: TiledInferencer(cfg, path, device='cpu'),
    ):
        with pytest.raises(ValueError, match=r'other\.pth doesn.t fit the InstanceCLIPSeg of .*tiny\.py.* heads\.mask\.'):
            opened()
    assert 'size mismatch' not in capsys.readouterr().out, "mmengine's list of all keys"
    open_detector(Config.fromfile(config), path, 'cpu')
    assert 'neck.new' in capsys.readouterr().out, 'a warning, as before'
    with pytest.raises(ValueError, match=r'gone\.pth is not a file; give the weights that a training left'):
        open_detector(Config.fromfile(config), tmp_path / 'gone.pth', 'cpu')
