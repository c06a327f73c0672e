"""tools/labelme.py"""

import json

import pytest
from labelme_files import SQUARE, shape, write_labelme
from PIL import Image

from mmext_instseg.datasets.validation import check_coco
from mmext_instseg.registry import DATASETS


@pytest.fixture
def folder(tmp_path):
    """20 frames of 8 x 10 pixels with one house, every fourth with a shed."""
    for number in range(20):
        shapes = [shape('house', SQUARE)] + [shape('shed', [[7, 6], [9, 8]], 'rectangle')] * (number % 4 == 0)
        write_labelme(tmp_path / f'flight/f_{number}.json', shapes)
    return tmp_path / 'flight'


def lines(path):
    return path.read_text().splitlines()


def test_split_at_random(folder, tmp_path, tool):
    status, text = tool('labelme.py', 'split', folder, '--out', tmp_path / 'splits', '--seed', 1)
    assert status == 0, text
    names = {name: lines(tmp_path / f'splits/{name}.txt') for name in ('train', 'val', 'test')}
    assert {name: len(one) for name, one in names.items()} == {'train': 14, 'val': 3, 'test': 3}
    assert sorted(name for one in names.values() for name in one) == sorted(f'f_{number}' for number in range(20))
    report = (tmp_path / 'splits/report.md').read_text()
    assert 'seed 1, 70:15:15' in report and '| all | 20 | 25 | 1.25 | 1-2 | 20 (80.0%) | 5 (20.0%) |' in report


def test_split_by_frame_serves_the_data_set(folder, tmp_path, tool):
    status, text = tool('labelme.py', 'split', folder, '--out', folder / 'splits', '--by-frame', '--ratios', 80, 0, 20)
    assert status == 0, text
    assert not (folder / 'splits/val.txt').exists()
    assert sorted(lines(folder / 'splits/test.txt')) == ['f_16', 'f_17', 'f_18', 'f_19']
    config = dict(type='LabelMeDataset', data_root=str(folder), ann_file='splits/test.txt', metainfo=dict(classes=('house', 'shed')))
    assert len(DATASETS.build(config)) == 4


def test_convert_the_splits(folder, tmp_path, tool):
    (tmp_path / 'val.txt').write_text('f_1\nf_2\n')
    (tmp_path / 'test.txt').write_text('f_4\n')
    status, text = tool('labelme.py', 'convert', folder, '--split', tmp_path / 'val.txt', tmp_path / 'test.txt', '--out', tmp_path / 'ann')
    assert status == 0, text
    assert "metainfo=dict(classes=('house', 'shed'))" in text
    val, test = (json.loads((tmp_path / f'ann/{name}.json').read_text()) for name in ('val', 'test'))
    assert val['categories'] == test['categories'] == [{'id': 1, 'name': 'house'}, {'id': 2, 'name': 'shed'}]
    assert [image['file_name'] for image in val['images']] == ['f_1.png', 'f_2.png'] and check_coco(val, folder) == []
    shed = test['annotations'][1]
    assert (shed['category_id'], shed['area'], shed['bbox']) == (2, 4, [7, 6, 2, 2])
    assert shed['segmentation'] == [[7, 6, 9, 6, 9, 8, 7, 8]] and test['annotations'][0]['segmentation'] == [[2, 1, 6, 1, 6, 5, 2, 5]]
    before = (tmp_path / 'ann/test.json').read_bytes()
    status, _ = tool('labelme.py', 'convert', folder, '--split', tmp_path / 'test.txt', '--out', tmp_path / 'ann')
    assert 'test.json is there already' in status and (tmp_path / 'ann/test.json').read_bytes() == before


def test_convert_embedded_images(tmp_path, tool):
    write_labelme(tmp_path / 'in/sub/a.json', [shape('house', SQUARE)], image='embedded')
    write_labelme(tmp_path / 'in/b.json', [shape('house', SQUARE)])
    status, _ = tool('labelme.py', 'convert', tmp_path / 'in', '--out', tmp_path)
    assert 'a.json: its image is embedded' in status and '--copy-images DIR' in status
    status, text = tool('labelme.py', 'convert', tmp_path / 'in', '--out', tmp_path, '--copy-images', tmp_path / 'images')
    assert status == 0, text
    data = json.loads((tmp_path / 'instances.json').read_text())
    assert [image['file_name'] for image in data['images']] == ['b.png', 'sub/a.png'] and check_coco(data, tmp_path / 'images') == []
    with Image.open(tmp_path / 'images/sub/a.png') as image:
        assert image.size == (10, 8)


def test_images_outside_the_folder(tmp_path, tool):
    write_labelme(tmp_path / 'json/a.json', [shape('house', SQUARE)], image='none', image_path='../images/a.png')
    (tmp_path / 'images').mkdir()
    Image.new('RGB', (10, 8)).save(tmp_path / 'images/a.png')
    status, _ = tool('labelme.py', 'convert', tmp_path / 'json', '--out', tmp_path)
    assert 'lies outside' in status
    status, text = tool('labelme.py', 'convert', tmp_path / 'json', '--out', tmp_path, '--images', tmp_path / 'images')
    assert status == 0, text
    assert json.loads((tmp_path / 'instances.json').read_text())['images'][0]['file_name'] == 'a.png'


def test_weights_of_a_folder_and_of_a_coco_file(folder, tmp_path, tool):
    """1600 pixels: 20 houses of 16, 5 sheds of 4."""
    house, shed, background = 1600 / 3 / 320, 1600 / 3 / 20, 1600 / 3 / 1260
    expected = f'class_weight=[{house:.4f}, {shed:.4f}, {background:.4f}],  # house, shed, background'
    status, text = tool('labelme.py', 'weights', folder)
    assert status == 0 and expected in text and '78.75%' in text
    assert tool('labelme.py', 'convert', folder, '--out', tmp_path)[0] == 0
    status, text = tool('labelme.py', 'weights', tmp_path / 'instances.json')
    assert status == 0 and expected in text
    (tmp_path / 'list.txt').write_text('f_1\n')
    status, text = tool('labelme.py', 'weights', folder, '--split', tmp_path / 'list.txt')
    assert status == 0 and f'class_weight=[{80 / 2 / 16:.4f}, {80 / 2 / 64:.4f}]' in text
    status, _ = tool('labelme.py', 'weights', tmp_path / 'instances.json', '--classes', 'house')
    assert '--classes and --skip-labels are for LabelMe folders' in status


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['split', 'FOLDER', '--out', 'OUT', '--classes', 'House', 'shed'], "label 'house' (20 objects), did you mean 'House'?"),
        (['split', 'nowhere', '--out', 'OUT'], 'nowhere: no such folder'),
        (['split', 'FOLDER', '--out', 'OUT', '--ratios', '1', '1', '0.001'], '20 images are too few for a split of 1:1:0.001'),
        (['convert', 'FOLDER', '--out', 'OUT', '--split', 'a/val.txt', 'b/val.txt'], 'val.txt: can not be read'),
        (['weights', 'FOLDER', '--classes', 'house', 'shed', 'tree'], "no pixel of 'tree'"),
    ],
)
def test_errors_leave_nothing_behind(folder, tmp_path, tool, words, message):
    places = {'FOLDER': folder, 'OUT': tmp_path / 'out'}
    status, _ = tool('labelme.py', *(places.get(word, word) for word in words))
    assert status.startswith('error: ') and message in status
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('command', [[], ['split'], ['convert'], ['weights']])
def test_help_has_an_example(tool, command):
    status, text = tool('labelme.py', *command, '--help')
    assert status == 0 and f'python tools/labelme.py {(command or ["split"])[0]} data/buildings' in text


def test_real_frames_by_number(real_data, tmp_path, tool):
    folder = real_data / 'building_drone_labelme'
    status, text = tool('labelme.py', 'split', folder, '--out', tmp_path, '--by-frame', '--ratios', 80, 0, 20)
    assert status == 0, text
    assert lines(tmp_path / 'train.txt')[-1] == 'DJI_0485_7092' and lines(tmp_path / 'test.txt')[0] == 'DJI_0485_7122'
    status, text = tool('labelme.py', 'convert', folder, '--split', tmp_path / 'test.txt', '--out', tmp_path)
    assert status == 0 and 'test.json: 4 images, 9 objects' in text
    findings = check_coco(json.loads((tmp_path / 'test.json').read_text()), folder)
    assert findings == []
