"""Shapes as Cityscapes: what cityscapesscripts makes of the polygons and ids is what was written."""

import json
import sys

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official
from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic
from cityscapesscripts.preparation.json2instanceImg import json2instanceImg
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image

from mmext_instseg.datasets.cityscapes.labels import ID_OF, LABELS
from mmext_instseg.datasets.shapes import STUFF, THINGS, SceneSpec, make_cityscapes
from mmext_instseg.datasets.shapes.__main__ import main as command
from mmext_instseg.datasets.shapes.cityscapes import CLASS_OF, list_objects, outline, paint_objects


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_labels_are_the_official_ones():
    assert [tuple(label) for label in LABELS] == [
        (label.id, label.name, label.category, label.color, label.hasInstances) for label in official if not label.ignoreInEval
    ]
    assert [label.trainId for label in official if not label.ignoreInEval] == list(range(19))


def test_layout(cityscapes):
    stems = [f'shapes_000001_{index:06d}' for index in range(4)]
    kinds = ('color.png', 'instanceIds.png', 'labelIds.png', 'polygons.json')
    found = {path.relative_to(cityscapes).as_posix() for path in cityscapes.rglob('*') if path.is_file() and 'train' not in path.as_posix()}
    assert found == {
        'shapes_val.json',
        'gtFine/cityscapes_panoptic_val.json',
        *(f'leftImg8bit/val/shapes/{stem}_leftImg8bit.png' for stem in stems),
        *(f'gtFine/val/shapes/{stem}_gtFine_{kind}' for stem in stems for kind in kinds),
        *(f'gtFine/cityscapes_panoptic_val/{stem}_gtFine_panoptic.png' for stem in stems),
    }


def test_id_images_are_those_of_the_polygons(cityscapes, tmp_path):
    files = sorted(cityscapes.glob('gtFine/*/*/*_polygons.json'))
    assert len(files) == 9
    for path in files:
        for kind, remake in (('instanceIds', json2instanceImg), ('labelIds', json2labelImg)):
            remake(str(path), str(tmp_path / 'again.png'))
            written = path.with_name(path.name.replace('polygons.json', f'{kind}.png'))
            assert np.array_equal(pixels(tmp_path / 'again.png'), pixels(written)), written
            header = written.read_bytes()[16:26]  # width, height, bit depth, colour type
            assert header[8:] == bytes([16 if kind == 'instanceIds' else 8, 0])
        json2labelImg(str(path), str(tmp_path / 'again.png'), 'color')
        assert np.array_equal(pixels(tmp_path / 'again.png'), pixels(path.with_name(path.name.replace('polygons.json', 'color.png'))))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_panoptic_files_are_those_of_cityscapesscripts(cityscapes, tmp_path, split, capsys):
    convert2panoptic(str(cityscapes / 'gtFine'), str(tmp_path), setNames=[split])
    name = f'cityscapes_panoptic_{split}'
    assert json.loads((tmp_path / f'{name}.json').read_text()) == json.loads((cityscapes / 'gtFine' / f'{name}.json').read_text())
    again = sorted((tmp_path / name).iterdir())
    assert [path.name for path in again] == sorted(path.name for path in (cityscapes / 'gtFine' / name).iterdir())
    assert all(np.array_equal(pixels(path), pixels(cityscapes / 'gtFine' / name / path.name)) for path in again)


def test_groups_are_crowds(cityscapes):
    annotations = json.loads((cityscapes / 'gtFine/cityscapes_panoptic_train.json').read_text())['annotations']
    things = {label.id for label in LABELS if label.is_thing}
    for index, annotation in enumerate(annotations):
        path = cityscapes / f'gtFine/train/shapes/shapes_000000_{index:06d}_gtFine_polygons.json'
        groups = [one['label'] for one in json.loads(path.read_text())['objects'] if one['label'].endswith('group')]
        ids = set(np.unique(pixels(path.with_name(path.name.replace('polygons.json', 'instanceIds.png')))).tolist())
        assert ids & things == {ID_OF[name.removesuffix('group')] for name in groups}
        assert ids & things == {one['id'] for one in annotation['segments_info'] if one['iscrowd']}
        assert len(groups) == (index in (0, 4))


@pytest.mark.parametrize(('size', 'seed'), [((33, 32), 0), ((64, 72), 2), ((128, 256), 3)])
def test_polygons_lose_no_pixel_of_the_scenes(size, seed):
    """Stuff, rings with holes and covered objects: the classes and objects are those of the scene."""
    spec = SceneSpec('standard', size, seed)
    for index in range(12):
        pieces = spec.pieces(index)
        scene = spec.show(index, pieces)
        found = paint_objects(list_objects(scene, pieces, has_group=False), *size)
        wanted = np.array([ID_OF[CLASS_OF[name]] for name in STUFF], np.int64)[scene.stuff]
        seen = [0] * len(THINGS)
        for row, label in enumerate(scene.labels.tolist(), 1):
            wanted[scene.ids == row] = ID_OF[CLASS_OF[THINGS[label]]] * 1000 + seen[label]
            seen[label] += 1
        assert np.array_equal(found, wanted), (size, index)


def test_an_outline_goes_round_a_hole_and_a_single_pixel_is_a_polygon():
    ring = np.ones((5, 6), bool)
    ring[2, 2:4] = False
    wall = [{'label': 'wall', 'polygon': outline(ring).tolist()}]
    assert np.array_equal(paint_objects(wall, 5, 6), np.where(ring, 12, 0))
    dot = np.zeros((3, 3), bool)
    dot[1, 2] = True
    assert outline(dot).tolist() == [[2, 1]] * 3
    assert np.array_equal(paint_objects([{'label': 'car', 'polygon': outline(dot).tolist()}], 3, 3), dot * 26000)


def test_test_split_has_images_only(tmp_path):
    make_cityscapes(tmp_path, 'test', size=(32, 40), seed=2, num_images=1)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*') if path.is_file())
    assert files == ['leftImg8bit/test/shapes/shapes_000002_000000_leftImg8bit.png', 'shapes_test.json']


def test_what_is_there_is_kept_or_refused(tmp_path):
    chosen = dict(split='val', size=(32, 40), num_images=1)
    make_cityscapes(tmp_path, **chosen)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert make_cityscapes(tmp_path, **chosen) == tmp_path
    with pytest.raises(RuntimeError, match='shapes_val'):
        make_cityscapes(tmp_path, **{**chosen, 'num_images': 2})
    (tmp_path / 'shapes_val.json').unlink()
    with pytest.raises(RuntimeError, match='leftImg8bit/val is there'):
        make_cityscapes(tmp_path, **chosen)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*') if path.is_file()}.items() <= before.items()


def test_values_out_of_range(tmp_path):
    for wrong, message in ((dict(split='valid'), 'no split'), (dict(num_images=0), 'num_images'), (dict(size=(8, 8)), 'size')):
        with pytest.raises(ValueError, match=message):
            make_cityscapes(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_command(tmp_path, monkeypatch, capsys):
    words = [tmp_path / 'new', '--size', 32, 48, '--num-images', 2, '--cityscapes', 'val']
    monkeypatch.setattr(sys, 'argv', ['shapes', *map(str, words)])
    command()
    assert '2 scenes in' in capsys.readouterr().out
    assert len(list((tmp_path / 'new').glob('gtFine/val/*/*_instanceIds.png'))) == 2
    command()
    assert 'was there already' in capsys.readouterr().out
