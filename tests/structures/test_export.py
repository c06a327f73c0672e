"""Exported files, read by other libraries."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from shapely.geometry import Polygon, shape
from shapely.geometry.polygon import LinearRing

from mmext_instseg.structures import InstanceMap, to_coco, to_geojson, to_labelme, write_json
from mmext_instseg.structures.export import write_text

CLASSES = ('house', 'shed')
LABELME_KEYS = {'version', 'flags', 'shapes', 'imagePath', 'imageData', 'imageHeight', 'imageWidth'}


def instances(scores: bool = True) -> InstanceMap:
    """A house with a yard (its hole), a shed of two parts, a vanished row and another shed; 7 x 9 pixels, one column ignored."""
    ids = torch.zeros(7, 9, dtype=torch.int32)
    ids[1:6, 1:5], ids[2:4, 2:4], ids[0:2, 6], ids[4:7, 6:8], ids[6, 0], ids[:, 8] = 1, 0, 2, 2, 4, -1
    return InstanceMap.from_ids(ids, torch.tensor([0, 1, 0, 1]), torch.tensor([0.9, 0.5, 0.2, 0.25]) if scores else None)


@pytest.mark.parametrize('polygons', [False, True])
def test_coco_is_read_by_pycocotools(tmp_path, polygons):
    path = tmp_path / 'out/instances.json'
    write_json(path, to_coco([('a.png', instances()), ('b.png', instances(scores=False))], CLASSES, polygons=polygons))
    coco = COCO(str(path))
    assert coco.getCatIds(['shed']) == [2] and [image['file_name'] for image in coco.loadImgs([1, 2])] == ['a.png', 'b.png']
    for image in (1, 2):
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image]))
        assert [one['category_id'] for one in found] == [1, 2, 2]
        for one, row in zip(found, (0, 1, 3), strict=True):
            mask = coco.annToMask(one).astype(bool)
            assert np.array_equal(mask, instances().masks()[row].numpy())
            assert one['area'] == mask.sum() and one['bbox'] == coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask))).tolist()
    assert [one.get('score') for one in coco.loadAnns(coco.getAnnIds())] == [0.9, 0.5, 0.25, None, None, None]


def test_labelme_has_every_key_and_groups():
    data = json.loads(json.dumps(to_labelme(instances(), CLASSES, r'images/a.png')))
    assert data.keys() >= LABELME_KEYS and data['version'].startswith('5.')
    assert (data['imagePath'], data['imageHeight'], data['imageWidth'], data['imageData']) == ('images/a.png', 7, 9, None)
    assert [(one['label'], one['group_id']) for one in data['shapes']] == [('house', None), ('shed', 2), ('shed', 2), ('shed', None)]
    for one in data['shapes']:
        assert one.keys() >= {'label', 'points', 'group_id', 'shape_type', 'flags'} and one['shape_type'] == 'polygon'
        assert all(isinstance(value, float) for point in one['points'] for value in point)
    assert [one['score'] for one in data['shapes']] == [0.9, 0.5, 0.5, 0.25]


def test_geojson_in_pixels():
    data = json.loads(json.dumps(to_geojson(instances(), CLASSES)))
    house, shed, other = data['features']
    assert data['type'] == 'FeatureCollection' and 'crs' not in data
    assert [one['id'] for one in data['features']] == [1, 2, 4]
    assert house['properties'] == {'label': 'house', 'area': 16, 'score': 0.9} and other['properties']['score'] == 0.25
    assert house['geometry']['type'] == 'Polygon' and shed['geometry']['type'] == 'MultiPolygon'
    yard = shape(house['geometry'])
    assert yard.equals(Polygon([(1, 1), (5, 1), (5, 6), (1, 6)], [[(2, 2), (4, 2), (4, 4), (2, 4)]]))
    assert shape(shed['geometry']).area == 8
    assert 'score' not in to_geojson(instances(scores=False), CLASSES)['features'][0]['properties']


@pytest.mark.parametrize('transform', [None, (0.5, 0, 600000, 0, -0.5, 6200000), (0.3, 0.4, 10, 0.4, -0.3, 20, 0, 0, 1)])
def test_geojson_rings_follow_the_right_hand_rule(transform):
    for feature in to_geojson(instances(), CLASSES, transform)['features']:
        geometry = feature['geometry']
        parts = [geometry['coordinates']] if geometry['type'] == 'Polygon' else geometry['coordinates']
        for outer, *holes in parts:
            assert outer[0] == outer[-1] and LinearRing(outer).is_ccw
            assert not any(LinearRing(hole).is_ccw for hole in holes)


def test_geojson_is_georeferenced_in_rasterios_order():
    """x = a col + b row + c, y = d col + e row + f, at pixel corners: row 6, column 0 is the square (0, 6) to (1, 7)."""
    data = to_geojson(instances(), CLASSES, (0.5, 0.25, 100, 0.125, -2, 1000), crs='EPSG:32637')
    expected = [(0.5 * x + 0.25 * y + 100, 0.125 * x - 2 * y + 1000) for x, y in [(0, 6), (1, 6), (1, 7), (0, 7)]]
    assert shape(data['features'][2]['geometry']).equals(Polygon(expected))
    assert data['crs'] == {'type': 'name', 'properties': {'name': 'urn:ogc:def:crs:EPSG::32637'}}


@pytest.mark.parametrize('transform', [(1, 0, 0, 0, 1), (1, 2, 0, 2, 4, 0), (1, 0, float('nan'), 0, 1, 0)])
def test_a_useless_transform(transform):
    with pytest.raises(ValueError, match='six finite numbers'):
        to_geojson(instances(), CLASSES, transform)


@pytest.mark.parametrize(
    'export', [lambda one: to_coco([('a.png', one)], ['house']), lambda one: to_labelme(one, ['house'], 'a.png')], ids=['coco', 'labelme']
)
def test_a_label_without_a_name(export):
    with pytest.raises(ValueError, match=r'a\.png: instance 2 has label 1, but there are 1 class names'):
        export(instances())


def test_nothing_is_overwritten_unless_told(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, [1])
    with pytest.raises(ValueError, match=r'a\.json is there already'):
        write_json(path, [2])
    assert json.loads(path.read_text()) == [1]
    write_json(path, [3], overwrite=True)
    assert json.loads(path.read_text()) == [3]


def test_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / 'a.json'
    write_text(path, 'before')
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_json(path, float('nan'), overwrite=True)
    with pytest.raises(UnicodeEncodeError):
        write_text(path, 'half \udc80', overwrite=True)
    assert path.read_text() == 'before' and list(tmp_path.iterdir()) == [path]
