import copy
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmext_instseg.datasets.image_files import image_size
from mmext_instseg.datasets.validation import check_coco, load_coco, read_coco

TOOL = Path(__file__).parents[2] / 'tools' / 'check_annotations.py'
TRIANGLE = [[1, 1, 4, 1, 1, 4]]


def good() -> dict:
    """Two images of 8 x 10 (height x width), two annotations each."""
    images = [{'id': i, 'file_name': f'{i}.png', 'height': 8, 'width': 10} for i in (1, 2)]
    annotations = [
        {'id': i, 'image_id': i % 2 + 1, 'category_id': 5, 'bbox': [1, 1, 3, 3], 'area': 6, 'iscrowd': 0, 'segmentation': TRIANGLE}
        for i in range(10, 14)
    ]
    return {'images': images, 'annotations': annotations, 'categories': [{'id': 5, 'name': 'a'}]}


def changed(**of_first_annotation) -> dict:
    data = good()
    data['annotations'][0].update(of_first_annotation)
    return data


def write(folder: Path, data: dict, name: str = 'a.json') -> Path:
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def write_images(folder: Path) -> None:
    for i in (1, 2):
        Image.new('RGB', (10, 8)).save(folder / f'{i}.png')


def test_a_correct_file_has_no_findings(tmp_path):
    write_images(tmp_path)
    data = good()
    assert check_coco(data, tmp_path) == []
    assert load_coco(write(tmp_path, data), tmp_path) == data


@pytest.mark.parametrize(
    ('change', 'problem'),
    [
        ({'id': 11}, None),  # the second of the two is named
        ({'id': None}, 'id is None; give it an integer'),
        ({'id': [1]}, r'id is \[1\]'),
        ({'image_id': 77}, 'unknown image_id 77'),
        ({'image_id': {}}, 'unknown image_id {}'),
        ({'category_id': 6}, 'unknown category_id 6'),
        ({'bbox': [0, 0, float('nan'), 3]}, 'bbox is .* four finite numbers'),
        ({'bbox': [0, 0, 3]}, 'bbox is .* four finite numbers'),
        ({'bbox': [0, 0, -3, 3]}, 'bbox is'),
        ({'bbox': [0, 0, 10**400, 3]}, 'bbox is'),
        ({'area': float('inf')}, 'area is inf'),
        ({'iscrowd': 2}, 'iscrowd is 2; write 0 or 1'),
        ({'segmentation': []}, 'box without a mask'),
        ({'segmentation': None}, 'box without a mask'),
        ({'segmentation': [[1, 1, float('nan'), 1, 4, 4]]}, 'coordinate nan'),
        ({'segmentation': [[1, 1, 4, 4]]}, 'polygon of 4 numbers'),
        ({'segmentation': {'size': [8, 10], 'counts': [3, 4]}}, 'runs of 7 pixels, the image 8 x 10 = 80'),
        ({'segmentation': {'size': [10, 8], 'counts': [80]}}, r'the image has \[8, 10\]'),
    ],
)
def test_wrong_annotations_are_found_and_left_out(tmp_path, change, problem):
    data = changed(**change)
    before = copy.deepcopy(data)
    findings = check_coco(data)
    assert str(data) == str(before)
    assert [(f.kind, f.severity) for f in findings] == [('annotations', 'error')]
    position = findings[0].position
    if problem is None:
        assert position == 1 and findings[0].name == 'annotation 11' and findings[0].problem.startswith('duplicate id')
    else:
        assert position == 0
        with pytest.raises(ValueError, match=f'(?s)a.json: 1 problems.*annotation.*{problem}'):
            load_coco(write(tmp_path, data))
    path = write(tmp_path, data)
    content = path.read_bytes()
    kept = load_coco(path, policy='skip')['annotations']
    assert kept == [one for i, one in enumerate(data['annotations']) if i != position]
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ('change', 'problem'),
    [
        ({'id': 2}, 'duplicate id'),
        ({'file_name': '/etc/passwd'}, 'leads out of the image folder'),
        ({'file_name': '../1.png'}, 'leads out of the image folder'),
        ({'file_name': 'a/../../1.png'}, 'leads out of the image folder'),
        ({'file_name': 'C:\\1.png'}, 'leads out of the image folder'),
        ({'file_name': '..\\1.png'}, 'leads out of the image folder'),
        ({'file_name': None}, 'file_name is None'),
        ({'file_name': 'a\0b'}, 'file_name is'),
        ({'height': 0}, 'height and width are'),
        ({'width': None}, 'height and width are'),
        ({'height': 10**5, 'width': 10**4}, 'at most 100,000,000'),
    ],
)
def test_wrong_images_are_found_and_left_out_with_their_annotations(tmp_path, change, problem):
    data = good()
    data['images'][0].update(change)
    findings = [f for f in check_coco(data) if f.kind == 'images']
    assert len(findings) == 1 and problem in findings[0].problem
    kept = load_coco(write(tmp_path, data), policy='skip')
    assert [image['file_name'] for image in kept['images']] == ['1.png' if 'id' in change else '2.png']
    assert {one['image_id'] for one in kept['annotations']} == {2}


def test_a_category_left_out_takes_its_annotations_along(tmp_path):
    data = good()
    data['categories'].append({'id': 6})
    data['annotations'][0]['category_id'] = 6
    assert [(f.name, f.problem) for f in check_coco(data)] == [('category 6', 'no name; give it one')]
    kept = load_coco(write(tmp_path, data), policy='skip')
    assert [one['id'] for one in kept['annotations']] == [11, 12, 13] and [one['id'] for one in kept['categories']] == [5]


def test_missing_fields_are_derived_from_the_mask(tmp_path):
    data = good()
    for key in ('area', 'bbox', 'iscrowd'):
        del data['annotations'][0][key]
    data['annotations'][0]['segmentation'] = [[2, 1, 5, 1, 5, 3, 2, 3]]
    assert {f.severity for f in check_coco(data)} == {'harmless'}
    first = load_coco(write(tmp_path, data))['annotations'][0]
    assert (first['area'], first['bbox'], first['iscrowd']) == (6, [2, 1, 3, 2], 0)


def test_masks_without_a_pixel_and_boxes_under_a_pixel_are_harmless():
    findings = check_coco(changed(segmentation=[[50, 50, 60, 50, 60, 60]])) + check_coco(changed(bbox=[1, 1, 0, 3], area=0))
    assert [f.severity for f in findings] == ['harmless'] * 3
    assert 'no pixel inside the image' in findings[0].problem


def test_image_files_are_compared(tmp_path):
    write_images(tmp_path)
    data = good()
    Image.new('RGB', (10, 9)).save(tmp_path / '1.png')
    (finding,) = check_coco(data, tmp_path)
    assert (
        finding.severity == 'error' and '9 x 10 pixels (height x width, after EXIF rotation), the annotations say 8 x 10' in finding.problem
    )


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_size_is_that_after_exif_rotation(tmp_path, suffix):
    write_images(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f'1.{suffix}'
    Image.new('RGB', (8, 10)).save(path, exif=exif)
    data = good()
    data['images'][0]['file_name'] = path.name
    assert check_coco(data, tmp_path) == []
    assert image_size(path) == image_size(path.read_bytes()) == (8, 10)


@pytest.mark.parametrize(
    ('content', 'problem'),
    [(None, 'no such file'), (b'', r'empty \(0 bytes\)'), (b'no image', 'not an image'), ('cut', 'cut off or damaged')],
)
def test_unreadable_images_stop_above_a_thousandth(tmp_path, content, problem):
    write_images(tmp_path)
    path = tmp_path / '1.png'
    noise = np.random.default_rng(0).integers(0, 255, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(whole[:-30] if content == 'cut' else content)
    data = good()
    (finding,) = check_coco(data, tmp_path)
    assert finding.severity == 'unreadable' and str(path) in finding.problem
    with pytest.raises(ValueError, match=problem):
        load_coco(write(tmp_path, data), tmp_path)
    with pytest.raises(ValueError, match=r'1 of 2 images are missing or broken, over the limit of 0\.1%'):
        load_coco(write(tmp_path, data), tmp_path, policy='skip')
    data['images'] += [{**data['images'][1], 'id': i} for i in range(3, 1001)]
    kept = load_coco(write(tmp_path, data), tmp_path, policy='skip')
    assert len(kept['images']) == 999 and {one['image_id'] for one in kept['annotations']} == {2}


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('{', 'not a JSON file'),
        ('[' * 100_000, 'not a JSON file'),
        ('[]', 'not a COCO file'),
        ('{"images": [], "annotations": []}', "no list of objects 'categories'"),
        ('{"images": [1], "annotations": [], "categories": []}', "'images'"),
    ],
    ids=['cut', 'deep', 'list', 'incomplete', 'no objects'],
)
def test_other_files_are_refused_by_name(tmp_path, text, problem):
    path = tmp_path / 'b.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'b.json: .*{problem}'):
        read_coco(path)
    with pytest.raises(ValueError, match=r'absent\.json: can not be read'):
        read_coco(tmp_path / 'absent.json')


def test_panoptic_files_are_understood():
    data = good()
    segment = {'id': 7, 'category_id': 5, 'bbox': [0, 0, 2, 2], 'area': 4, 'iscrowd': 0}
    data['annotations'] = [{'image_id': 1, 'file_name': '1.png', 'segments_info': [segment, {**segment, 'id': 8}]}]
    assert check_coco(data) == []
    data['annotations'] += [
        {'image_id': 1, 'file_name': '1.png', 'segments_info': []},
        {'image_id': 2, 'file_name': '../2.png', 'segments_info': [segment, segment, {**segment, 'id': 0, 'category_id': 9}]},
    ]
    problems = {(f.position, f.problem.split(';')[0]) for f in check_coco(data)}
    assert problems == {
        (1, 'duplicate image_id'),
        (2, "file_name '../2.png' leads out of the image folder"),
        (2, 'segment id 0'),
        (2, 'segment 0: unknown category_id 9'),
    }


def test_policy_is_checked(tmp_path):
    with pytest.raises(ValueError, match="policy must be 'error' or 'skip'"):
        load_coco(write(tmp_path, good()), policy='ignore')


@pytest.mark.parametrize(
    ('file', 'images', 'wrong'),
    [
        ('taco_annotations/annotations.json', None, ['annotation 309', 'annotation 4040']),
        ('lvis_val_100/lvis_val_100.json', None, []),
        ('fruits_nuts/trainval.json', 'fruits_nuts/images', []),
        ('coco_panoptic_mini/annotations/instances_val2017.json', 'coco_panoptic_mini/val2017', []),
        ('coco_panoptic_mini/annotations/panoptic_train2017.json', 'coco_panoptic_mini/train2017', []),
    ],
)
def test_real_files(real_data, file, images, wrong):
    findings = check_coco(read_coco(real_data / file), images and real_data / images)
    assert [f.name for f in findings if f.severity != 'harmless'] == wrong


def run_tool(monkeypatch, capsys, *args) -> tuple[int, str]:
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
    code = runpy.run_path(str(TOOL))['main']()
    return code, capsys.readouterr().out.rstrip()


def test_command(tmp_path, monkeypatch, capsys):
    write_images(tmp_path)
    bad, cleaned = write(tmp_path, changed(segmentation=[[1, 1, 4, 4]])), tmp_path / 'cleaned.json'
    code, text = run_tool(monkeypatch, capsys, bad, '--images', tmp_path, '--output', cleaned)
    assert code == 1 and text.startswith('annotation 10  error') and text.endswith('1 problems')
    assert len(json.loads(cleaned.read_text())['annotations']) == 3
    code, text = run_tool(monkeypatch, capsys, cleaned, '--images', tmp_path)
    assert code == 0 and text.endswith('no problem')
    assert run_tool(monkeypatch, capsys, bad, '--output', bad)[0] == 2
    assert run_tool(monkeypatch, capsys, tmp_path / 'absent.json')[0] == 1
    with pytest.raises(SystemExit):
        run_tool(monkeypatch, capsys, '--help')
    assert 'example:' in capsys.readouterr().out
