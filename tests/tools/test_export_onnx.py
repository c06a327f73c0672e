"""Exported networks against PyTorch, each method at toy width; what can't be exported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import init_detector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from onnx_models import CASES, SHARE, check_instances, detect, write_model
from PIL import Image
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from mmext_instseg.inference import onnx_export
from mmext_instseg.inference.onnx import OnnxSegmentor, normalise
from mmext_instseg.inference.onnx_export import TOLERANCE, difference, export_onnx
from mmext_instseg.inference.onnx_networks import network_parts


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Config, checkpoint and folder of an export of DCME."""
    folder = tmp_path_factory.mktemp('export')
    config, checkpoint = write_model(folder, *CASES['dcme'][:2])
    detector = init_detector(str(config), str(checkpoint), device='cpu')
    export_onnx(detector, Config.fromfile(config), folder / 'out')
    return detector, Config.fromfile(config), folder / 'out'


@pytest.mark.parametrize('method', CASES)
def test_parity_with_pytorch(method, tool, untrained, tmp_path):
    name, changes, options = CASES[method]
    config, checkpoint = write_model(tmp_path, name, changes)
    images = sorted(untrained[2].glob('*.png'))
    status, printed = tool('export_onnx.py', config, checkpoint, '--out', tmp_path / 'out', *options, '--check', *images)
    assert status == 0, status
    rows = [line.split('|') for line in (tmp_path / 'out' / 'parity.md').read_text().splitlines() if '.onnx' in line]
    files = {'image_encoder.onnx', 'decoder.onnx'} if method == 'instance_clipseg' else {'network.onnx'}
    assert {row[1].strip() for row in rows} == files and all(str(tmp_path / 'out' / file) in printed.replace('\n', '') for file in files)
    assert all(float(row[2]) <= TOLERANCE for row in rows)

    # Independently, through the detector's own preprocessor; it doesn't pad to a fixed size, so images have it already
    segment, detector = OnnxSegmentor(tmp_path / 'out', threads=1), init_detector(str(config), str(checkpoint), device='cpu')
    size, num = segment.manifest['input']['size'], 0
    share = SHARE if method == 'embedding_unet' else 0.0  # whose sample reacts to the maps' last digits
    for path in images:
        image = np.asarray(Image.open(path))[..., ::-1]
        image = image[:96] if size is None else np.resize(image, (*size, 3))
        phrases = tuple(segment.embeddings)
        wanted = detect(detector, image, phrases).pred_instances
        found = segment(image, phrases).pred_instances
        check_instances({name: np.asarray(value) for name, value in found.items()}, wanted, share)
        num += len(found)
    assert num > len(images), f'{num} instances show little'


def test_the_manifest_says_how_to_run_it(exported):
    about = json.loads((exported[2] / 'network.json').read_text())
    assert about['parts'] == dict(network=dict(file='network.onnx', inputs=['image'], outputs=['displacement', 'class_prob']))
    assert about['post_processing']['codec']['type'] == 'DCMECodec' and about['post_processing']['codec']['min_votes'] == 3.0
    assert 'backbone' not in about['post_processing']
    # Defaults that the config doesn't name: of the codec, the head and the settings of prediction
    assert about['post_processing']['codec']['cell'] == 1.0 and about['post_processing']['test_cfg']['min_stuff_area'] == 0
    assert about['post_processing']['heads']['semantic']['num_stuff_classes'] == 0
    assert about['input']['color'] == 'RGB' and about['input']['size'] is None and about['input']['multiple_of'] == 16


def test_images_are_normalised_and_padded():
    settings = dict(color='RGB', mean=[1.0, 2.0, 3.0], std=[2.0, 2.0, 2.0], size=None, multiple_of=4, pad_value=7)
    image = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 3, 4), np.uint8)  # blue 0, green 1, red 2
    found = normalise(image, settings)
    assert found.shape == (1, 3, 4, 4) and (found[0, :, 3] == 7).all()
    assert found[0, :, 0, 0].tolist() == [0.5, -0.5, -1.5]
    with pytest.raises(ValueError, match='larger than the exported 2x4'):
        normalise(image, {**settings, 'size': [2, 4]})


def test_difference_is_relative_to_each_map():
    wanted = [torch.tensor([0.0, 10.0]), torch.tensor([0.1])]
    assert difference(dict(a=torch.tensor([0.01, 10.0]), b=torch.tensor([0.1])), wanted) == pytest.approx(1e-3)
    with pytest.raises(ValueError, match='b has the shape'):
        difference(dict(a=wanted[0], b=torch.zeros(2)), wanted)


def test_what_cannot_be_exported_says_what_to_do(exported, untrained_text_model, tool, tmp_path):
    detector, config, folder = exported
    with pytest.raises(ValueError, match='is there already'):
        export_onnx(detector, config, folder)
    with pytest.raises(ValueError, match='take 112 128'):
        export_onnx(detector, config, tmp_path / 'a', (100, 128))
    with pytest.raises(ValueError, match='takes no phrases'):
        export_onnx(detector, config, tmp_path / 'a', phrases=['a dog'])
    oracle = Config(config.to_dict())
    oracle.model.test_cfg.true_maps = ('semantic',)
    with pytest.raises(ValueError, match='takes the ground truth'):
        export_onnx(detector, oracle, tmp_path / 'a')
    with pytest.raises(ValueError, match='Identity can not be exported'):
        network_parts(nn.Sequential().add_module('backbone', nn.Identity()) or _Other(), (32, 32))
    with pytest.raises(ValueError, match='not a file; make it with'):
        OnnxSegmentor(tmp_path)
    status, _ = tool('export_onnx.py', *untrained_text_model, '--out', tmp_path / 'a')
    assert 'position embeddings' in status and '--size H W' in status
    assert not (tmp_path / 'a').exists()


class _Other(nn.Identity):
    backbone = nn.Identity()


_Other.__name__ = 'Identity'


def test_a_size_that_the_trace_keeps_is_noticed(exported, tmp_path):
    """A network that only runs at the traced size: the file isn't kept."""
    detector, config, _ = exported
    head = detector.heads['semantic']
    original, head.project = head.project, nn.Sequential(head.project, _AddedAtItsSize())
    try:
        with pytest.raises(ValueError, match='Name a fixed size by --size'):
            export_onnx(detector, config, tmp_path / 'a')
    finally:
        head.project = original
    assert not list((tmp_path / 'a').iterdir())


class _AddedAtItsSize(nn.Module):
    def forward(self, x):
        return x + torch.zeros(1, 1, int(x.shape[-2]), int(x.shape[-1]))


def test_an_operator_without_an_onnx_form_is_named(tool, tmp_path):
    """SegNet's unpooling."""
    config, checkpoint = write_model(tmp_path, 'dcme/dcme_segnet_80k_cityscapes-512x1024', {})
    status, _ = tool('export_onnx.py', config, checkpoint, '--out', tmp_path / 'out', '--size', 32, 64)
    assert status.startswith(f"error: {config}: network.onnx can not be exported: Exporting the operator 'aten::max_unpool2d'"), status
    assert not list((tmp_path / 'out').iterdir())


@pytest.mark.parametrize('step', ['_write', 'OnnxPart'])
def test_a_failed_second_file_takes_the_first_with_it(step, untrained_text_model, monkeypatch, tmp_path):
    detector = init_detector(*map(str, untrained_text_model), device='cpu')
    right = getattr(onnx_export, step)

    def fail(*arguments):
        if any(isinstance(one, Path) and one.name == 'decoder.onnx' for one in arguments):
            raise OSError('no space left')
        return right(*arguments)

    monkeypatch.setattr(onnx_export, step, fail)
    with pytest.raises((OSError, ValueError), match='no space left'):
        export_onnx(detector, Config.fromfile(untrained_text_model[0]), tmp_path / 'out', (128, 128), ['a dog'])
    assert not list((tmp_path / 'out').iterdir())


def test_unknown_phrases(untrained_text_model, tmp_path):
    detector = init_detector(*map(str, untrained_text_model), device='cpu')
    export_onnx(detector, Config.fromfile(untrained_text_model[0]), tmp_path / 'out', (128, 128), ['a dog'])
    segment = OnnxSegmentor(tmp_path / 'out')
    image = np.zeros((128, 128, 3), np.uint8)
    with pytest.raises(ValueError, match="no embedding of 'a cat'"):
        segment(image, ['a cat'])
    found = segment(image, {'a cat': segment.embeddings['a dog']})
    assert found.pred_phrase_masks.data.shape == (1, 128, 128)


@pytest.mark.parametrize('method', CASES)
def test_a_compiled_trunk_equals_the_eager_one(method, tmp_path):
    """As the documents say: in place, so that checkpoints fit as before."""
    config, checkpoint = write_model(tmp_path, *CASES[method][:2])
    detector = init_detector(str(config), str(checkpoint), device='cpu')
    image, samples = torch.randn(1, 3, 112, 112), [DetDataSample(metainfo=dict(text='a dog'))]
    keys, compiler = list(detector.state_dict()), CompileCounterWithBackend('aot_eager')
    with torch.no_grad():
        wanted = _tensors(detector(image, samples, mode='tensor'))
        for part in filter(None, (detector.backbone, getattr(detector, 'neck', None))):
            before = compiler.frame_count
            part.compile(backend=compiler)
            found = _tensors(detector(image, samples, mode='tensor'))
            assert compiler.frame_count > before
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert list(detector.state_dict()) == keys
    load_checkpoint(detector, str(checkpoint), strict=True)


def _tensors(value) -> list[torch.Tensor]:
    return [value] if isinstance(value, torch.Tensor) else [one for part in value for one in _tensors(part)]
