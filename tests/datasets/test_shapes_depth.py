"""The depth of Shapes: what it says, the folder it lies in, and the panoptic data set that names it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from mmext_instseg.datasets import ShapesPanopticDataset
from mmext_instseg.datasets.shapes import SceneSpec, make_shapes, make_shapes_depth, shapes_folder
from mmext_instseg.datasets.shapes.__main__ import main as command
from mmext_instseg.datasets.shapes.depth import FAR, NEAR, depth_folder, depth_map
from mmext_instseg.registry import DATASETS


def scene_depth(index: int, spec: SceneSpec) -> tuple[np.ndarray, np.ndarray]:
    pieces = spec.pieces(index)
    ids = spec.show(index, pieces).ids
    return depth_map(pieces, ids), ids


@pytest.mark.parametrize('spec', [SceneSpec(), SceneSpec('nested', (64, 96), 3), SceneSpec(size=(33, 32))], ids=str)
def test_what_is_in_front_is_nearer(spec):
    for index in range(12):
        depth, ids = scene_depth(index, spec)
        assert depth.dtype == np.float32 and depth.shape == spec.size
        forms = [np.unique(depth[ids == number]) for number in range(1, ids.max() + 1)]
        assert all(len(values) == 1 for values in forms)
        flat = np.array([values[0] for values in forms])  # from back to front
        assert (np.diff(flat) < -0.0049).all() and flat.min() > 0.9 and flat.max() < NEAR
        background = np.where(ids == 0, depth, np.nan)
        rows = np.indices(ids.shape)[0]
        np.testing.assert_allclose(background[ids == 0], (FAR - (FAR - NEAR) * (rows + 0.5) / len(ids))[ids == 0], rtol=1e-6)


def test_the_depth_of_shapes_is_frozen():
    depth, _ = scene_depth(0, SceneSpec())
    millimetres = np.rint(depth * 1000).astype('<u2')
    assert hashlib.sha256(millimetres.tobytes()).hexdigest()[:16] == '644ec79958add308'


SMALL = {'size': (64, 72), 'seed': 5, 'num_images': 3}


def test_depth_is_made_beside_a_data_set_that_stays_as_it_is(tmp_path):
    folder = make_shapes(tmp_path, **SMALL)
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    assert make_shapes_depth(tmp_path, **SMALL) == depth_folder(tmp_path, **SMALL)
    assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before
    assert sorted(tmp_path.iterdir()) == [folder, depth_folder(tmp_path, **SMALL)]
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadDepthMap', kind='metric', scale=0.001)]
    dataset = DATASETS.build(dict(type='mmseg.NYUDataset', data_root=str(depth_folder(tmp_path, **SMALL)), pipeline=pipeline))
    assert [Path(info['img_path']).name for info in map(dataset.get_data_info, range(3))] == [f'{n:012d}.jpg' for n in (1, 2, 3)]
    results, spec = dataset[2], SceneSpec('standard', SMALL['size'], SMALL['seed'])
    np.testing.assert_allclose(results['gt_depth_map'], scene_depth(2, spec)[0], atol=0.00051)
    assert np.abs(results['img'][..., ::-1].astype(int) - spec.scene(2).image).mean() < 3  # JPEG


def test_depth_is_made_once_and_checked(tmp_path, monkeypatch):
    folder = make_shapes_depth(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    monkeypatch.setattr(SceneSpec, 'pieces', lambda *_: pytest.fail('made again'))
    assert make_shapes_depth(tmp_path, **SMALL) == folder
    (folder / 'annotations' / '000000000002.png').unlink()
    with pytest.raises(RuntimeError, match=r'annotations/ holds 2 PNG files instead of 3\. Move or delete'):
        make_shapes_depth(tmp_path, **SMALL)
    (folder / 'manifest.json').write_text('{}')
    with pytest.raises(RuntimeError, match=r'manifest\.json says version None'):
        make_shapes_depth(tmp_path, **SMALL)


def test_the_command_makes_depth_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['shapes', str(tmp_path), '--num-images', '2', '--size', '48', '48', '--depth'])
    for said in ('2 scenes in', 'was there already'):
        command()
        assert said in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['v1_standard_48x48_seed0_n2_depth']


def test_panoptic_shapes_with_and_without_depth(tmp_path):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadPanopticAnnotations'),
        dict(type='LoadDepthMap', kind='metric', scale=0.001),
        dict(type='DenseRandomFlip', prob=1.0, direction='vertical'),
        dict(type='GenerateInstanceMap', num_things=5),
        dict(type='PackDenseInputs'),
    ]
    root = tmp_path / 'shapes'
    without = ShapesPanopticDataset(str(root), **SMALL)
    assert 'depth_map_path' not in without.get_data_info(0) and len(list(root.iterdir())) == 1
    dataset = DATASETS.build(dict(type='ShapesPanopticDataset', data_root=str(root), depth=True, pipeline=pipeline, **SMALL))
    assert dataset.metainfo == without.metainfo and len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 8
    sample = dataset[1]['data_samples']
    depth, ids = scene_depth(1, SceneSpec('standard', SMALL['size'], SMALL['seed']))
    assert torch.equal(sample.gt_instance_map.ids, torch.from_numpy(ids[::-1].copy()))
    np.testing.assert_allclose(sample.gt_depth_map.data[0], depth[::-1], atol=0.00051)
    with pytest.raises(ValueError, match='finds its own files'):
        ShapesPanopticDataset(str(root), **SMALL, ann_file='mine.json')
    assert shapes_folder(root, **SMALL).is_dir()
