"""tools/predict_tiled.py on an untrained model: the files are there, whatever is in them."""

import json

import pytest
import torch
from PIL import Image

from mmext_instseg.registry import DATASETS

WORDS = ('--tile', '96', '--overlap', '32', '--device', 'cpu', '--score', '0')


@pytest.fixture
def photo(untrained, tmp_path):
    with Image.open(next(untrained[2].iterdir())) as image:
        image.resize((150, 130)).save(tmp_path / 'photo.png')
    return tmp_path / 'photo.png'


def test_all_formats_of_two_images(tool, untrained, photo, tmp_path):
    config, weights, images = untrained
    first = sorted(images.iterdir())[0]
    status, text = tool('predict_tiled.py', config, weights, photo, first, '--out', tmp_path / 'new', *WORDS)
    assert status == 0, text
    names = ['labelme/photo.json', f'labelme/{first.stem}.json', 'geojson/photo.geojson', 'coco.json', 'pictures/photo.png']
    assert all(str(tmp_path / 'new' / name) in text.splitlines() for name in names)
    coco = json.loads((tmp_path / 'new/coco.json').read_text())
    assert [(one['file_name'], one['height'], one['width']) for one in coco['images']] == [('photo.png', 130, 150), (first.name, 128, 128)]
    labelme = json.loads((tmp_path / 'new/labelme/photo.json').read_text())
    assert labelme['imagePath'] == '../../photo.png'
    assert {shape['label'] for shape in labelme['shapes']} <= {one['name'] for one in coco['categories']}
    found = [one for one in coco['annotations'] if one['image_id'] == 1]
    geojson = json.loads((tmp_path / 'new/geojson/photo.geojson').read_text())
    assert f'{photo}: {len(found)} objects' in text and len(geojson['features']) == len(found) > 0
    with Image.open(tmp_path / 'new/pictures/photo.png') as image:
        assert image.size == (150, 130)
    classes = tuple(one['name'] for one in coco['categories'])
    folder = dict(data_root=str(tmp_path / 'new/labelme'), data_prefix=dict(json=''), metainfo=dict(classes=classes))
    (tmp_path / 'list.txt').write_text('photo\n')
    dataset = DATASETS.build(dict(type='LabelMeDataset', ann_file=str(tmp_path / 'list.txt'), **folder))
    assert len(dataset) == 1 and len(dataset.get_data_info(0)['instances']) == len(found)


def test_a_geo_referenced_file(tool, untrained, photo, tmp_path):
    words = (*WORDS, '--format', 'geojson', '--transform', 0.5, 0, 1000, 0, -0.5, 2000, '--crs', 'EPSG:32637', '--tolerance', 1)
    status, text = tool('predict_tiled.py', *untrained[:2], photo, '--out', tmp_path / 'new', *words)
    assert status == 0, text
    data = json.loads((tmp_path / 'new/geojson/photo.geojson').read_text())
    points = torch.tensor([point for one in data['features'] for ring in rings(one['geometry']) for point in ring])
    assert (points[:, 0] >= 1000).all() and (points[:, 0] <= 1075).all() and (points[:, 1] <= 2000).all() and (points[:, 1] >= 1935).all()
    assert 'crs' in data and sorted(one.name for one in (tmp_path / 'new').iterdir()) == ['geojson', 'pictures']


def rings(geometry):
    return geometry['coordinates'] if geometry['type'] == 'Polygon' else [ring for part in geometry['coordinates'] for ring in part]


def test_errors_leave_nothing_behind(tool, untrained, photo, tmp_path):
    config, weights, _ = untrained
    out = tmp_path / 'new'
    twin = tmp_path / 'other/photo.jpg'
    twin.parent.mkdir()
    twin.touch()
    (tmp_path / 'text.png').write_text('no image')
    for words, message in (
        ((config, tmp_path / 'no.pth', photo), 'no.pth is not a file'),
        ((tmp_path / 'no.py', weights, photo), 'no.py'),
        ((config, weights, tmp_path / 'no.jpg'), 'no.jpg is not a file'),
        ((config, weights, tmp_path / 'text.png'), 'text.png: not an image'),
        ((config, weights, photo, twin), 'would have results of the same name'),
        ((config, weights, photo, '--tile', 64, '--overlap', 64), 'does not fit tiles of 64'),
        ((config, weights, photo, '--transform', 1, 2, 0, 2, 4, 0), 'a e - b d other than 0'),
        ((config, weights, photo, twin, '--crs', 'EPSG:4326'), 2),
        ((config, weights, photo, '--tile', '0'), 2),
    ):
        status, _ = tool('predict_tiled.py', *words, '--out', out, '--device', 'cpu')
        assert status == message if isinstance(message, int) else status.startswith('error: ') and message in status
        assert not out.exists()


def test_a_damaged_image_costs_the_others_nothing(tool, untrained, photo, tmp_path):
    config, weights, _ = untrained
    damaged = tmp_path / 'damaged.png'
    damaged.write_bytes(photo.read_bytes()[:300])
    status, text = tool('predict_tiled.py', config, weights, damaged, photo, '--out', tmp_path / 'new', '--device', 'cpu')
    assert status.startswith('error: no results of 1 images: ') and 'damaged.png' in status
    assert len(json.loads((tmp_path / 'new' / 'coco.json').read_text())['images']) == 1
    assert 'pictures/photo.png' in text and 'damaged.png' not in text


def test_nothing_is_overwritten(tool, untrained, photo, tmp_path):
    (tmp_path / 'labelme').mkdir()
    (tmp_path / 'labelme/photo.json').write_text('mine')
    status, _ = tool('predict_tiled.py', *untrained[:2], photo, '--out', tmp_path, *WORDS)
    assert 'labelme/photo.json is there already' in status and (tmp_path / 'labelme/photo.json').read_text() == 'mine'


def test_large_pictures_are_shrunk(tool, untrained, tmp_path):
    Image.new('RGB', (2100, 40)).save(tmp_path / 'long.png')
    words = ('--out', tmp_path / 'new', '--tile', '40x700', '--overlap', 16, '--device', 'cpu', '--format', 'coco')
    status, text = tool('predict_tiled.py', *untrained[:2], tmp_path / 'long.png', *words)
    assert status == 0, text
    with Image.open(tmp_path / 'new/pictures/long.png') as image:
        assert image.size == (2048, 39)


def test_help_has_an_example(tool):
    status, text = tool('predict_tiled.py', '--help')
    assert status == 0 and 'python tools/predict_tiled.py' in text
