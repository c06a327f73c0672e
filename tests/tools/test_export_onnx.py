"""Exported networks against PyTorch, each method at toy width; the example in the documents; what can't be exported."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import init_detector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from PIL import Image
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from toy_models import as_toy

from mmext_instseg.inference import array_pipeline, onnx_export
from mmext_instseg.inference.onnx import OnnxSegmentor, normalise
from mmext_instseg.inference.onnx_export import TOLERANCE, difference, export_onnx
from mmext_instseg.inference.onnx_networks import network_parts
from mmext_instseg.registry import MODELS

ROOT = Path(__file__).parents[2]
NARROW = dict(backbone=dict(base_channels=4), heads=dict(instance=dict(in_channels=4), semantic=dict(in_channels=4)))
LOW = dict(foreground_threshold=0.3, max_per_image=30)
CASES = {
    'dcme': ('dcme/dcme_tiny_shapes', {**NARROW, 'codec': dict(min_votes=3.0), 'test_cfg': LOW}, []),
    'embedding_unet': ('embedding_unet/embedding_unet_tiny_shapes', {**NARROW, 'codec': dict(sample_size=512), 'test_cfg': LOW}, []),
    'aml_solov2': ('aml_solov2/aml_solov2_tiny_shapes', dict(test_cfg=dict(score_thr=0.0, filter_thr=0.0, nms_pre=20, max_per_img=10)), []),
    'pe_centroid': ('pe_centroid/pe_centroid_vitb_46k_coco-420', dict(codec=dict(min_pixels=4)), ['--size', 112, 126]),
    'instance_clipseg': (
        'instance_clipseg/instance_clipseg_tiny_shapes',
        dict(codec=dict(peak_threshold=0.01), test_cfg=dict(mask_threshold=0.01, max_per_phrase=10)),
        ['--size', 128, 144, '--text', 'a circle', 'red square'],
    ),
}


def write_model(folder: Path, name: str, changes: dict) -> tuple[Path, Path]:
    """A config and seeded weights whose batch norms have statistics of their own."""
    config = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    if 'tiny' not in name:
        config.model = as_toy(config.model)
        config.test_dataloader.dataset.pipeline = [
            {**step, 'scale': (126, 112)} if 'scale' in step else step for step in config.test_dataloader.dataset.pipeline
        ]
    config.merge_from_dict(dict(model=changes))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    classes = tuple(map(str, range(133)))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), folder / 'model.pth')
    config.dump(folder / 'model.py')
    return folder / 'model.py', folder / 'model.pth'


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
    pipeline, size = array_pipeline(Config.fromfile(config)), segment.manifest['input']['size']
    num = 0
    for path in images:
        image = np.asarray(Image.open(path))[..., ::-1]
        image = image[:96] if size is None else np.resize(image, (*size, 3))
        phrases = tuple(segment.embeddings)
        packed = pipeline(dict(img=np.ascontiguousarray(image), img_id=0, text=phrases))
        with torch.no_grad():
            wanted = detector.test_step(pseudo_collate([packed]))[0].pred_instances
        found = segment(image, phrases).pred_instances
        assert torch.equal(found.labels, wanted.labels) and torch.equal(found.masks, wanted.masks)
        torch.testing.assert_close(found.scores, wanted.scores, rtol=1e-4, atol=1e-4)
        num += len(found)
    assert num > len(images), f'{num} instances show little'


def test_the_numpy_example_of_the_documents_finds_the_same(exported, untrained, tmp_path):
    folder = exported[2]
    code = next(
        block for block in re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'export.md').read_text(), re.DOTALL) if 'ids.npy' in block
    )
    (tmp_path / 'example.py').write_text("import sys\nsys.modules['torch'] = None\n" + code)
    image = sorted(untrained[2].glob('*.png'))[0]
    done = subprocess.run(
        [sys.executable, 'example.py', str(folder), str(image)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    segment = OnnxSegmentor(folder)
    maps = segment.parts['network'](segment.prepare(image)[0])
    foreground = maps['class_prob'][:, :5].sum(dim=1) > LOW['foreground_threshold']
    (wanted,) = segment.detector.codec.decode(maps, foreground)
    assert len(wanted) > 1
    # An untrained network's votes are noise, with peaks that tie but for the last digit, where torch and NumPy may choose differently
    assert (np.load(tmp_path / 'ids.npy') == wanted.ids.numpy()).mean() > 0.995
    assert len(done.stdout.splitlines()) == len(wanted)


def test_the_manifest_says_how_to_run_it(exported):
    about = json.loads((exported[2] / 'network.json').read_text())
    assert about['parts'] == dict(network=dict(file='network.onnx', inputs=['image'], outputs=['displacement', 'class_prob']))
    assert about['post_processing']['codec']['type'] == 'DCMECodec' and about['post_processing']['codec']['min_votes'] == 3.0
    assert 'backbone' not in about['post_processing']
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
