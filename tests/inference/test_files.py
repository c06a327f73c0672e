import json

import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from mmext_instseg.inference import save_results
from mmext_instseg.structures import InstanceMap


def house(x: int) -> InstanceMap:
    ids = torch.zeros(6, 9, dtype=torch.int32)
    ids[1:4, x : x + 3] = 1
    return InstanceMap.from_ids(ids, torch.tensor([1]), torch.tensor([0.75]))


def test_three_formats_of_two_images(tmp_path):
    images = [tmp_path / 'photos/a.png', tmp_path / 'photos/b.png']
    (tmp_path / 'photos').mkdir()
    for image in images:
        Image.new('RGB', (9, 6)).save(image)
    results = ((image, house(x)) for x, image in enumerate(images))
    written = save_results(results, ('shed', 'house'), tmp_path / 'out', transform=(0.5, 0, 100, 0, -0.5, 200), crs='EPSG:32637')
    names = ['labelme/a.json', 'geojson/a.geojson', 'labelme/b.json', 'geojson/b.geojson', 'coco.json']
    assert written == [tmp_path / 'out' / name for name in names] and all(path.is_file() for path in written)
    coco = COCO(str(written[-1]))
    assert [image['file_name'] for image in coco.loadImgs([1, 2])] == ['a.png', 'b.png']
    assert [one['bbox'] for one in coco.loadAnns([1, 2])] == [[0, 1, 3, 3], [1, 1, 3, 3]]
    labelme = json.loads((tmp_path / 'out/labelme/b.json').read_text())
    assert labelme['imagePath'] == '../../photos/b.png' and labelme['shapes'][0]['label'] == 'house'
    geojson = json.loads((tmp_path / 'out/geojson/b.geojson').read_text())
    assert [100.5, 199.5] in geojson['features'][0]['geometry']['coordinates'][0] and 'crs' in geojson


def test_formats_that_were_asked_for(tmp_path):
    assert save_results([('a.png', house(0))], ('shed', 'house'), tmp_path, ['geojson']) == [tmp_path / 'geojson/a.geojson']
    assert [path.name for path in tmp_path.iterdir()] == ['geojson']
    with pytest.raises(ValueError, match=r"unknown format 'yolo'; there are coco, labelme, geojson"):
        save_results([], (), tmp_path, ['yolo'])


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / 'coco.json').write_text('mine')
    with pytest.raises(ValueError, match=r'coco\.json is there already'):
        save_results([('a.png', house(0))], ('shed', 'house'), tmp_path, ['coco'])
    assert (tmp_path / 'coco.json').read_text() == 'mine'
