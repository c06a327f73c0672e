"""tools/class_priority.py on COCO instances, COCO panoptic and Cityscapes, and the head on what it writes."""

import json

import pytest

from mmext_instseg.datasets.shapes import make_cityscapes
from mmext_instseg.models.heads import GridClassHead


def instance(category, iscrowd=0):
    return {'id': 1, 'image_id': 1, 'category_id': category, 'iscrowd': iscrowd}


CATEGORIES = [{'id': 7, 'name': 'traffic light'}, {'id': 3, 'name': 'cat'}, {'id': 5, 'name': 'dog'}, {'id': 9, 'name': 'cow'}]
# traffic light 1, cat 2 and a crowd, dog 1, cow 0
ANNOTATIONS = [instance(3), instance(5), instance(3), instance(3, iscrowd=1), instance(7)]


@pytest.fixture
def coco(tmp_path):
    path = tmp_path / 'train.json'
    path.write_text(json.dumps({'images': [], 'annotations': ANNOTATIONS, 'categories': CATEGORIES}))
    return path


def test_coco_by_hand(coco, tool, tmp_path):
    out = tmp_path / 'new' / 'priority.json'
    before = coco.read_bytes()
    status, text = tool('class_priority.py', coco, '--out', out)
    assert status == 0, text
    assert json.loads(out.read_text()) == {
        'classes': ['traffic light', 'cat', 'dog', 'cow'],
        'instances': [1, 2, 1, 0],
        'priority': ['cow', 'traffic light', 'dog', 'cat'],  # of equal ones the earlier class
    }
    assert coco.read_bytes() == before
    head = GridClassHead(in_channels=4, num_things_classes=4, priority=out)
    head.load_priority(('traffic light', 'cat', 'dog', 'cow'))
    assert head.priority.tolist() == [1, 3, 2, 0, 4]


def test_a_subset_in_the_order_of_the_file(coco, tool, tmp_path):
    out = tmp_path / 'priority.json'
    status, _ = tool('class_priority.py', coco, '--out', out, '--classes', 'cat', 'dog')
    assert status == 0
    assert json.loads(out.read_text()) == {'classes': ['cat', 'dog'], 'instances': [2, 1], 'priority': ['dog', 'cat']}
    status, _ = tool('class_priority.py', coco, '--out', out, '--classes', 'dog', 'cat')
    assert "mmdet numbers classes in the order of the file: name each once, 'cat' 'dog'" in status
    status, _ = tool('class_priority.py', coco, '--out', out, '--classes', 'cat', 'hen')
    assert "train.json: no thing class 'hen'; it has traffic light, cat, dog, cow" in status


def test_panoptic_by_hand(tool, tmp_path):
    segments = [{'category_id': 1}, {'category_id': 1, 'iscrowd': 1}, {'category_id': 2}, {'category_id': 3}]
    data = {
        'images': [],
        'annotations': [{'image_id': 1, 'segments_info': segments}, {'image_id': 2, 'segments_info': segments[1:3] + segments[2:3]}],
        'categories': [
            {'id': 2, 'name': 'cat', 'isthing': 1},
            {'id': 1, 'name': 'dog', 'isthing': 1},
            {'id': 3, 'name': 'sky', 'isthing': 0},
        ],
    }
    (tmp_path / 'panoptic.json').write_text(json.dumps(data))
    status, _ = tool('class_priority.py', tmp_path / 'panoptic.json', '--out', tmp_path / 'priority.json')
    assert status == 0
    found = json.loads((tmp_path / 'priority.json').read_text())
    assert found == {'classes': ['cat', 'dog'], 'instances': [3, 1], 'priority': ['dog', 'cat']}


def test_cityscapes_alike_from_ids_panoptic_and_coco(tool, tmp_path):
    make_cityscapes(tmp_path, 'train', size=(64, 128), num_images=5)
    status, _ = tool('convert_cityscapes.py', tmp_path)
    assert status == 0
    found = [json.loads((tmp_path / 'annotations/class_priority.json').read_text())]
    sources = ('gtFine/train', 'gtFine/cityscapes_panoptic_train.json', 'annotations/instancesonly_filtered_gtFine_train.json')
    for number, source in enumerate(sources):
        status, _ = tool('class_priority.py', tmp_path / source, '--out', tmp_path / f'{number}.json')
        assert status == 0
        found.append(json.loads((tmp_path / f'{number}.json').read_text()))
    assert found[0] == found[1] == found[2] == found[3]
    objects = [json.loads(path.read_text())['objects'] for path in tmp_path.glob('gtFine/train/*/*.json')]
    cars = sum(one['label'] == 'car' for image in objects for one in image)
    assert found[0]['instances'][2] == cars > 0


def test_cityscapes_subset_in_any_order(tool, tmp_path):
    make_cityscapes(tmp_path, 'train', size=(32, 64), num_images=2)
    words = ('--out', tmp_path / 'priority.json', '--classes', 'truck', 'car')
    status, _ = tool('class_priority.py', tmp_path / 'gtFine/train', *words)
    assert status == 0
    assert json.loads((tmp_path / 'priority.json').read_text())['classes'] == ['truck', 'car']
    status, _ = tool('class_priority.py', tmp_path / 'gtFine', *words)
    assert 'no <city>/*_gtFine_instanceIds.png there; give the folder of a split, such as gtFine/train' in status


def test_wrong_paths(coco, tool, tmp_path):
    status, _ = tool('class_priority.py', tmp_path / 'none.json', '--out', tmp_path / 'priority.json')
    assert 'none.json: can not be read (No such file or directory)' in status
    status, _ = tool('class_priority.py', coco, '--out', coco)
    assert f'{coco} is there and is no class priority; choose another --out' in status
    assert tool('class_priority.py', coco, '--out', tmp_path / 'again.json')[0] == 0
    assert tool('class_priority.py', coco, '--out', tmp_path / 'again.json')[0] == 0  # its own kind of file is made anew
    assert not (tmp_path / 'priority.json').exists()


def test_help_has_an_example(tool):
    status, text = tool('class_priority.py', '--help')
    assert status == 0
    assert 'python tools/class_priority.py data/coco/annotations/instances_train2017.json' in text
