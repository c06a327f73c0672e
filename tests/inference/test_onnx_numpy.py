"""The scripts of examples/onnx_numpy against the detectors: exports of toy width, seeded weights, Shapes images."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import init_detector
from mmengine.config import Config
from onnx_models import CASES, LOW, NARROW, SHARE, check_instances, detect, write_images, write_model

from mmext_instseg import ops
from mmext_instseg.inference.onnx import OnnxSegmentor
from mmext_instseg.inference.onnx_export import export_onnx

SCRIPTS = Path(__file__).resolve().parents[2] / 'examples' / 'onnx_numpy'
sys.path.append(str(SCRIPTS))

import _maps  # noqa: E402
from _common import Export, read_image  # noqa: E402

ALL = dict(score_thr=0.0, filter_thr=0.0, nms_pre=50, max_per_img=20)
HALF = dict(in_channels=8)
#: Settings that the five configs of `CASES` leave at their defaults.
VARIANTS = {
    'dcme, labels at the centre in a coarser grid': (
        'dcme/dcme_tiny_shapes',
        dict(
            backbone=dict(base_channels=4),
            heads=dict(instance=dict(in_channels=4), semantic=dict(in_channels=16, in_index=2, num_stuff_classes=2)),
            codec=dict(min_votes=3.0, min_area=80, cell=2.0, max_miss=0.5),
            test_cfg=dict(foreground_threshold=0.3, label_by='centre', panoptic=True, semantic=True),
        ),
        [],
    ),
    'pe_centroid, relative, with depth': (
        'pe_centroid/pe_centroid_tiny-depth_shapes',
        dict(
            backbone=dict(base_channels=4),
            heads=dict(instance=HALF, semantic=dict(in_channels=4), depth=dict(in_channels=4)),
            codec=dict(margin=0.1, min_pixels=1, nms_threshold=0.3, max_instances=20),
            test_cfg=dict(foreground_threshold=0.1, score_threshold=0.01),
        ),
        [],
    ),
    'embedding_unet, fixed eps, resized': (
        'embedding_unet/embedding_unet_tiny-panoptic_600it_shapes-64',
        {**NARROW, 'codec': dict(sample_size=512, eps=0.1, min_samples=3), 'test_cfg': LOW},
        [],
    ),
    'aml_solov2, kernels of 3x3': (
        'aml_solov2/aml_solov2_tiny-plain_600it_shapes-64',
        dict(mask_head=dict(dynamic_conv_size=3), test_cfg=dict(kernel='linear', mask_thr=0.93, **ALL)),
        [],
    ),
    'instance_clipseg, grouped by boxes': (
        'instance_clipseg/instance_clipseg_tiny-c5-boxes_600it_shapes-64',
        dict(codec=dict(min_votes=2, min_area=3, max_candidates=100), test_cfg=dict(mask_threshold=0.01, max_per_phrase=10)),
        ['--size', 128, 144, '--text', 'a circle', 'red square'],
    ),
}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Files of 128x128 pixels."""
    return write_images(tmp_path_factory.mktemp('images'), 2)


@pytest.fixture(scope='module')
def export(tmp_path_factory):
    """Exports a case; returns the folder and the detector. Each case once."""
    made = {}

    def make(case):
        if case not in made:
            folder = tmp_path_factory.mktemp('export')
            name, changes, options = {**CASES, **VARIANTS}[case]
            config, checkpoint = write_model(folder, name, changes)
            detector = init_detector(str(config), str(checkpoint), device='cpu')
            export_onnx(detector, Config.fromfile(config), folder / 'out', tuple(options[1:3]) or None, options[4:])
            made[case] = folder / 'out', detector
        return made[case]

    return make


def script_of(case: str) -> str:
    return case.split(',')[0] + '.py'


def check(found: dict[str, np.ndarray], wanted) -> int:
    """Compares a script's results with a sample; returns the number of instances."""
    check_instances({**found, 'bboxes': found['boxes']}, wanted.pred_instances, SHARE)
    maps = dict(panoptic='pred_panoptic_seg', semantic='pred_sem_seg')
    for name, field in maps.items():
        assert (name in found) == (field in wanted)
        if name in found:
            assert (found[name] != wanted.get(field).sem_seg[0].numpy()).mean() <= SHARE
    if 'pred_depth_map' in wanted:
        np.testing.assert_allclose(found['depth'], wanted.pred_depth_map.data[0], rtol=1e-4)
    if 'pred_phrase_masks' in wanted:
        assert (found['unions'] != wanted.pred_phrase_masks.data.numpy()).mean() <= SHARE
    return len(found['masks'])


@pytest.mark.parametrize('case', [*CASES, *VARIANTS])
def test_the_same_instances_as_the_detector(case, export, images):
    """As PyTorch finds them in a whole image; as `OnnxSegmentor` does, which pads alike, in one that has to be padded or resized."""
    folder, detector = export(case)
    segment, script = OnnxSegmentor(folder, threads=1), importlib.import_module(script_of(case)[:-3])
    phrases, size = tuple(segment.embeddings), segment.manifest['input']['size']
    whole, other = map(read_image, images)
    whole, part = whole if size is None else np.resize(whole, (*size, 3)), np.ascontiguousarray(other[:90, :117])
    num = 0
    for image, wanted in ((whole, detect(detector, whole, phrases)), (part, segment(part, phrases))):
        found = script.segment(Export(folder, script_of(case)), image, *([list(phrases)] if phrases else []))
        num += check(found, wanted)
    assert num > 2, f'{num} instances show little'


@pytest.mark.parametrize('case', CASES)
def test_the_command_needs_no_torch(case, export, images, tmp_path):
    image = read_image(images[0])[:90, :117]
    cv2.imwrite(str(tmp_path / 'part.png'), image)
    done = run_script(script_of(case), export(case)[0], tmp_path / 'part.png', '--out', tmp_path / 'found')
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / 'found.npz') as found:
        assert len(found['masks']) == len(found['labels']) == len(done.stdout.splitlines()) - 2 > 0
        picture = cv2.imread(str(tmp_path / 'found.png'))
        covered = found['masks'].any(axis=0)
        assert (picture != image)[covered].any() and (picture == image)[~covered].all()


def run_script(*words) -> subprocess.CompletedProcess:
    """A script on a command line where what must not be imported isn't there."""
    code = (
        f"import runpy, sys; sys.path.insert(0, '{SCRIPTS}'); sys.argv = sys.argv[1:]\n"
        f"try: runpy.run_path('{SCRIPTS}/' + sys.argv[0], run_name='__main__')\n"
        "finally: assert not {'torch', 'mmcv', 'mmdet', 'mmengine', 'mmext_instseg'} & set(sys.modules), 'imported'"
    )
    return subprocess.run([sys.executable, '-c', code, *map(str, words)], capture_output=True, text=True, timeout=120)


def test_what_is_wrong_is_said(export, images, tmp_path):
    dcme, text = export('dcme')[0], export('instance_clipseg')[0]
    with pytest.raises(ValueError, match=r'network\.json is not a file; make it with python tools/export_onnx\.py'):
        Export(tmp_path, 'dcme.py')
    with pytest.raises(ValueError, match=r'BottomUpSegmentor with DCMECodec, which pe_centroid\.py does not decode; take dcme\.py'):
        Export(dcme, 'pe_centroid.py')
    with pytest.raises(ValueError, match=r'InstanceCLIPSeg with BoxDistanceCodec.*take instance_clipseg\.py'):
        Export(text, 'dcme.py')
    for change, message in (
        (dict(format=1), 'has the format 1, this script reads 2; export again'),
        (dict(post_processing=dict(codec=dict(type='BinnedCentroidCodec'))), 'BinnedCentroidCodec, which dcme.py.*take .*OnnxSegmentor'),
        ({}, 'network.onnx is not a file, though'),
    ):
        about = json.loads((dcme / 'network.json').read_text()) | change
        (tmp_path / 'network.json').write_text(json.dumps(about))
        with pytest.raises(ValueError, match=message):
            Export(tmp_path, 'dcme.py')
    opened = Export(dcme, 'dcme.py')
    opened.about['pipeline'].append(dict(type='mmdet.RandomFlip', prob=0.5))
    with pytest.raises(ValueError, match=r'step .*RandomFlip.*add it to _common\.py'):
        opened.prepare(read_image(images[0]))
    opened, script = Export(text, 'instance_clipseg.py'), importlib.import_module('instance_clipseg')
    with pytest.raises(ValueError, match=r'150x128 .* is larger than the exported 128x144'):
        opened.prepare(np.zeros((150, 128, 3), np.uint8))
    with pytest.raises(ValueError, match=r"no embedding of 'a cat': export with --text 'a cat'; known are \['a circle', 'red square'\]"):
        script.segment(opened, read_image(images[0]), ['a circle', 'a cat'])
    with pytest.raises(ValueError, match='no embeddings of phrases: export with --text'):
        script.segment(opened, read_image(images[0]), [])
    done = run_script('dcme.py', dcme, tmp_path / 'network.json')
    assert done.returncode == 1 and done.stderr.startswith(f'error: {tmp_path}/network.json is not a file, or not an image'), done.stderr


@pytest.mark.parametrize(
    ('size', 'shape', 'part'), [((7, 9), (12, 31), (0.8, 1)), ((30, 20), (11, 7), (1, 0.55)), ((5, 5), (5, 5), (1, 1))]
)
def test_maps_are_sampled_as_in_torch(size, shape, part):
    draw = np.random.default_rng(0)
    values, ids, mask = draw.random((3, *size), np.float32), draw.integers(0, 4, size, np.int32), draw.random(shape) > 0.5
    wanted = ops.sample_bilinear(torch.from_numpy(values), shape, part)
    np.testing.assert_allclose(_maps.bilinear(values, shape, part), wanted, atol=1e-6)
    for foreground in (None, mask):
        wanted = ops.sample_ids(torch.from_numpy(ids), shape, part, None if foreground is None else torch.from_numpy(foreground))
        if size != shape or foreground is not None:
            np.testing.assert_array_equal(_maps.enlarge_ids(ids, shape, part, foreground), wanted)


@pytest.mark.parametrize('radius', [0, 1, 3])
def test_peaks_are_found_as_in_torch(radius):
    heat = np.random.default_rng(radius).integers(0, 6, (23, 17))
    smooth = ops.smooth_votes(torch.from_numpy(heat)[None], radius)
    np.testing.assert_allclose(_maps.smooth(heat, radius), smooth[0], rtol=1e-6)
    peaks = ops.find_peaks(torch.from_numpy(heat)[None].float(), radius, 2)
    found = _maps.find_peaks(heat, radius, 2)
    np.testing.assert_array_equal(found, peaks[:, 1:])
    np.testing.assert_array_equal(_maps.nearest_peak(found, heat.shape, 2), ops.nearest_peak(peaks, (1, 23, 17), 2)[0])


@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
def test_matrix_nms_is_that_of_torch(kernel):
    draw = np.random.default_rng(0)
    masks, scores, labels = draw.random((12, 8, 8)) > 0.4, draw.integers(1, 5, 12).astype(np.float32), draw.integers(0, 2, 12)
    flat = masks.reshape(12, -1).astype(int)
    shared = flat @ flat.T
    iou = shared / (flat.sum(1)[:, None] + flat.sum(1) - shared) * (labels[:, None] == labels)
    wanted = ops.matrix_nms(torch.from_numpy(masks), torch.from_numpy(labels), torch.from_numpy(scores), kernel)
    np.testing.assert_allclose(_maps.matrix_nms(iou, scores, kernel) * scores, wanted, rtol=1e-5)
