"""Phrases from PhraseCut: files in exactly the published format, what is drawn from them, and their faults."""

import random

import pytest
from phrase_checks import HEIGHT, MAPS, WIDTH, box_polygon, write_image, write_json

from mmext_instseg.datasets import PhraseCutDataset


def corners(x, y, w, h):
    return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]


def task(image, number, phrase, *instances, name=None):
    structure = {'name': name or phrase.split()[-1], 'attributes': phrase.split()[:-1], 'relation_ids': [], 'relation_descriptions': []}
    return {
        'task_id': f'{image}__{number}',
        'image_id': image,
        'ann_ids': [100 * image + i for i in range(len(instances))],
        'instance_boxes': [[0.0, 0.0, 10.0, 10.0] for _ in instances],
        'Polygons': list(instances),
        'phrase': phrase,
        'phrase_structure': {**structure, 'type': 'attribute'},
    }


def phrasecut_tasks():
    return [
        task(7, 0, 'red car', [corners(10, 10, 20, 10)], [corners(40, 10, 10, 10), corners(40, 30, 10.5, 10)]),
        task(8, 0, 'car', [corners(0, 0, 30, 30)]),
        task(7, 1, 'tall tree', [corners(70, 20, 20, 30)]),
    ]


@pytest.fixture
def phrasecut(tmp_path):
    def build(tasks=None, images=None, **kwargs):
        sizes = {'width': WIDTH, 'height': HEIGHT, 'url': '', 'coco_id': None, 'flickr_id': None, 'split': 'miniv'}
        write_json(tmp_path / 'refer_miniv.json', phrasecut_tasks() if tasks is None else tasks)
        default = [{'image_id': number, **sizes} for number in (7, 8, 9)]
        write_json(tmp_path / 'image_data_split.json', default if images is None else images)
        return PhraseCutDataset(data_root=str(tmp_path), ann_file='refer_miniv.json', serialize_data=False, **kwargs)

    return build


def test_phrasecut_test_samples_are_images(phrasecut, tmp_path):
    dataset = phrasecut(test_mode=True)
    first, second = (dataset.get_data_info(i) for i in range(2))
    assert (first['text'], second['text']) == (('red car', 'tall tree'), ('car',))
    assert first['img_path'] == str(tmp_path / 'images' / '7.jpg')
    assert [one['bbox_label'] for one in first['instances']] == [0, 0, 1]
    # Boxes are those of the polygons, within the image.
    assert [one['bbox'] for one in first['instances']] == [[10, 10, 30, 20], [40, 10, 50.5, 40], [70, 20, 80, 50]]
    assert first['instances'][1]['mask'] == [box_polygon(40, 10, 10, 10), box_polygon(40, 30, 10.5, 10)]


def test_phrasecut_masks(phrasecut, tmp_path):
    write_image(tmp_path / 'images' / '7.jpg')
    sample = phrasecut(pipeline=MAPS, negative_prob=0)[0]['data_samples']
    ids = sample.gt_instance_map.ids.numpy()
    assert sample.text == 'red car' and len(sample.gt_instance_map) == 2
    assert (ids[10:20, 10:30] == 1).all() and (ids == 1).sum() == 200
    assert (ids[10:20, 40:50] == 2).all() and (ids[30:40, 40:50] == 2).all()


def test_negatives_of_phrasecut_come_from_other_images(phrasecut):
    dataset = phrasecut()
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [(info['img_id'], info['phrases'], len(info['instances'])) for info in samples] == [
        (7, ('red car',), 2),
        (7, ('tall tree',), 1),
        (8, ('car',), 1),
    ]
    random.seed(0)
    # Both nouns of image 7 are in it; in image 8 there is a car, so that only the tree is none.
    assert {dataset.draw_negative(samples[0]) for _ in range(20)} == {None}
    assert {dataset.draw_negative(samples[2]) for _ in range(50)} - {None} == {'tall tree'}


def test_negatives_of_the_image_come_first(phrasecut):
    dataset = phrasecut([*phrasecut_tasks(), task(8, 1, 'blue boat')])
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert len(samples) == 3 and {dataset.draw_negative(samples[2]) for _ in range(20)} == {'blue boat'}
    tested = phrasecut([*phrasecut_tasks(), task(8, 1, 'blue boat')], test_mode=True)
    assert tested.get_data_info(1)['text'] == ('car', 'blue boat')


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr('mmext_instseg.datasets.phrases.phrasecut.print_log', lambda text, *_: lines.append(text))
    return lines


def test_short_polygons_are_reported_by_task(phrasecut, said):
    line = [[1, 1], [5, 5]]
    tasks = [task(7, 0, 'cup', [line, corners(0, 0, 9, 9)], [line]), task(7, 1, 'fork', [line]), task(7, 2, 'knife', [corners(5, 5, 9, 9)])]
    info = phrasecut(tasks, test_mode=True).get_data_info(0)
    assert info['text'] == ('cup', 'knife') and [len(one['mask']) for one in info['instances']] == [1, 1]
    assert len(said) == 1 and said[0].endswith('refer_miniv.json: left out 3 polygons of fewer than 3 points (2 tasks: 7__0, 7__1)')


def test_instances_without_a_pixel_are_counted(phrasecut, said):
    """Too narrow, too low, outside the image: the task stays for what else it means; without anything it is asked for no more."""
    small = [[corners(5, 5, 0.9, 20)], [corners(5, 5, 20, 0.9)], [corners(WIDTH + 5, 5, 9, 9)]]
    many = [task(8, number, f'crumb {number}', small[0]) for number in range(11)]
    info = phrasecut([task(7, 0, 'cup', *small, [corners(0, 0, 1, 1)]), *many], test_mode=True)
    assert len(info) == 1 and info.get_data_info(0)['text'] == ('cup',)
    assert [one['bbox'] for one in info.get_data_info(0)['instances']] == [[0, 0, 1, 1]]
    assert len(said) == 1
    assert 'left out 14 instances under 1 pixel wide or high (12 tasks: 7__0, 8__0, ' in said[0] and said[0].endswith('8__8, ...)')


def test_both_losses_make_one_line(phrasecut, said):
    phrasecut([task(7, 0, 'cup', [[[1, 1], [5, 5]]], [corners(5, 5, 0.5, 9)], [corners(0, 0, 9, 9)])])
    (line,) = said
    assert line.endswith(
        'left out 1 polygons of fewer than 3 points (1 tasks: 7__0); 1 instances under 1 pixel wide or high (1 tasks: 7__0)'
    )


def test_nothing_is_said_of_a_whole_file(phrasecut, said):
    phrasecut()
    assert said == []


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda task: task.update(image_id=99), "task '8__0': image 99 is not in .*image_data_split.json"),
        (lambda task: task.pop('Polygons'), "task '8__0' has no 'Polygons'"),
        (lambda task: task.pop('task_id'), "a task of image 8 has no 'task_id'"),
        (lambda task: task.update(phrase=' '), "task '8__0': the phrase is ' '"),
        (lambda task: task['ann_ids'].append(3), "task '8__0': 1 instances in Polygons, 2 in ann_ids"),
        (lambda task: task.update(Polygons=[corners(1, 1, 5, 5)]), "task '8__0': Polygons is a list of instances"),
        (lambda task: task.update(Polygons=[[[1.0, 2.0, 3.0]]]), "task '8__0': Polygons is a list of instances"),
        (lambda task: task.update(Polygons={}, ann_ids=[], instance_boxes=[]), "task '8__0': Polygons is a list of instances"),
    ],
)
def test_phrasecut_errors_name_file_and_task(phrasecut, damage, message):
    tasks = phrasecut_tasks()
    damage(tasks[1])
    with pytest.raises(ValueError, match=rf'refer_miniv\.json: {message}'):
        phrasecut(tasks)


def test_files_that_are_not_phrasecut(phrasecut, tmp_path):
    with pytest.raises(ValueError, match=r'image_data_split\.json: not a list of objects'):
        phrasecut(images={})
    with pytest.raises(ValueError, match=r"image_data_split\.json: image 7 has no 'width'"):
        phrasecut(images=[{'image_id': 7, 'height': 3}])
    phrasecut()
    with pytest.raises(ValueError, match=r'refer_no\.json: can not be read'):
        PhraseCutDataset(data_root=str(tmp_path), ann_file='refer_no.json')
    (tmp_path / 'refer_no.json').write_text('[')
    with pytest.raises(ValueError, match=r'refer_no\.json: not a JSON file'):
        PhraseCutDataset(data_root=str(tmp_path), ann_file='refer_no.json')
