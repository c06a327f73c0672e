"""Phrases from LVIS: names and templates, files in exactly the published format, what is drawn from them, and their faults."""

import json
import random
from collections import Counter

import pytest
from mmengine.dataset import worker_init_fn
from phrase_checks import HEIGHT, MAPS, WIDTH, box_polygon, write_image, write_json
from torch.utils.data import DataLoader

from mmext_instseg.datasets import LVISPhraseDataset
from mmext_instseg.datasets.phrases.names import CategoryPhrases, check_templates, clean_name, fill, spell_out


@pytest.mark.parametrize(
    ('name', 'clean', 'spelled'),
    [
        ('sheep', 'sheep', 'sheep'),
        ('baseball_bat', 'baseball bat', 'baseball bat'),
        ('mouse_(computer_equipment)', 'mouse', 'mouse (computer equipment)'),
        ('monitor_(computer_equipment) computer_monitor', 'monitor computer monitor', 'monitor (computer equipment) computer monitor'),
        ('flip-flop_(sandal)', 'flip-flop', 'flip-flop (sandal)'),
        ('(x)', '(x)', '(x)'),
    ],
)
def test_names_become_phrases(name, clean, spelled):
    assert (clean_name(name), spell_out(name)) == (clean, spelled)


def test_shared_phrases_keep_their_qualifier():
    mouse = CategoryPhrases.from_names(['mouse_(computer_equipment)', 'computer_mouse'])
    assert mouse.cleaned == ('mouse', 'computer mouse')
    assert mouse.other_than({'mouse'}) == ('computer mouse',)
    assert mouse.other_than({'mouse', 'computer mouse'}) == ('mouse (computer equipment)',)
    assert mouse.other_than({*mouse.cleaned, *mouse.spelled}) == ()


def test_templates():
    assert fill('a photo of a {}', 'dog') == 'a photo of a dog'
    assert fill('a photo of a {}', 'apple') == 'a photo of an apple'
    assert fill('the {}', 'apple') == 'the apple'
    assert fill('{}', 'odd {braces}') == 'odd {braces}'
    assert fill('a {} beside a cup', 'used car') == 'a used car beside a cup'
    assert fill('A {}', 'egg') == 'An egg'
    for wrong in ('a {}', [], ['a photo'], ['{} {}'], [3]):
        with pytest.raises(ValueError, match='templates'):
            check_templates(wrong)


@pytest.mark.parametrize(
    ('article', 'phrases'),
    [
        (
            'a',
            'unicycle, uniform, used car, utensil, ukulele, urinal, UFO, U-turn, euro, ewer, one-way sign, onesie, horse, T-shirt',
        ),
        ('an', 'umbrella, urn, uninvited guest, unidentified man, usher, utter mess, onion, hour, hourglass, honest man, heirloom, x-ray'),
    ],
)
def test_articles_go_by_sound(article, phrases):
    for phrase in phrases.split(', '):
        assert fill('a photo of a {}', phrase) == f'a photo of {article} {phrase}'


def lvis_category(number, name, *synonyms):
    counts = {'image_count': 1, 'instance_count': 1, 'frequency': 'r'}
    return {'id': number, 'name': name, 'synset': f'{name}.n.01', 'synonyms': [name, *synonyms], 'def': f'a {name}', **counts}


CATEGORIES = [
    lvis_category(1, 'mouse_(animal_rodent)'),
    lvis_category(2, 'mouse_(computer_equipment)', 'computer_mouse'),
    lvis_category(3, 'apple'),
    lvis_category(4, 'trash_can', 'garbage_can', 'wastebin'),
    lvis_category(7, 'rat_(rodent)', 'mouse_(rodent)'),
]


def lvis_image(number, negative=(), partial=()):
    url = f'http://images.cocodataset.org/val2017/{number:012d}.jpg'
    lists = {'neg_category_ids': list(negative), 'not_exhaustive_category_ids': list(partial)}
    return {'id': number, 'coco_url': url, 'height': HEIGHT, 'width': WIDTH, 'license': 1, 'flickr_url': '', 'date_captured': '', **lists}


def lvis_annotation(number, image, category, box=(10, 10, 20, 15), **more):
    polygon = [float(value) for value in box_polygon(*box)]
    return {'id': number, 'image_id': image, 'category_id': category, 'segmentation': [polygon], 'area': 300.0, 'bbox': list(box), **more}


def lvis_data():
    images = [lvis_image(1, negative=[4, 2]), lvis_image(2, negative=[1], partial=[3]), lvis_image(3, negative=[3])]
    annotations = [
        lvis_annotation(1, 1, 3),
        lvis_annotation(2, 1, 1, (40, 5, 10, 10)),
        lvis_annotation(3, 1, 3, (30, 30, 20, 20)),
        lvis_annotation(4, 2, 2),
        lvis_annotation(5, 2, 3, (50, 30, 20, 20)),
    ]
    return {'info': {}, 'licenses': [], 'images': images, 'annotations': annotations, 'categories': CATEGORIES}


@pytest.fixture
def lvis(tmp_path):
    def build(data=None, **kwargs):
        write_json(tmp_path / 'lvis_v1_val.json', data or lvis_data())
        # Serialising would collect garbage first, which takes longer than all else here.
        files = dict(data_root=str(tmp_path), ann_file='lvis_v1_val.json', data_prefix=dict(img='coco'))
        return LVISPhraseDataset(**files, **{'serialize_data': False, **kwargs})

    return build


def by_category(dataset):
    return {(info['img_id'], info['phrases'][0]): info for info in map(dataset.get_data_info, range(len(dataset)))}


def test_lvis_training_samples_are_image_and_category(lvis, tmp_path):
    samples = by_category(lvis())
    assert list(samples) == [(1, 'mouse'), (1, 'apple'), (2, 'mouse'), (2, 'apple')]
    apples = samples[1, 'apple']
    assert [one['bbox'] for one in apples['instances']] == [[10, 10, 30, 25], [30, 30, 50, 50]]
    assert {(one['bbox_label'], one['ignore_flag']) for one in apples['instances']} == {(0, 0)}
    assert apples['instances'][0]['mask'] == [box_polygon(10, 10, 20, 15)]
    assert apples['img_path'] == str(tmp_path / 'coco/val2017/000000000001.jpg')
    assert (apples['height'], apples['width']) == (HEIGHT, WIDTH)
    # The absent computer mouse is called otherwise, since there is a mouse.
    assert apples['negatives'] == ('trash can', 'garbage can', 'wastebin', 'computer mouse')
    # The absent animal has no other word than that of the mouse in the image.
    assert samples[2, 'mouse']['phrases'] == ('mouse', 'computer mouse')
    assert samples[2, 'mouse']['negatives'] == ('mouse (animal rodent)',)


def test_two_categories_of_one_name_in_one_image(lvis):
    data = lvis_data()
    data['annotations'] = [lvis_annotation(1, 3, 1), lvis_annotation(2, 3, 2, (40, 30, 20, 20))]
    training, testing = lvis(data), lvis(data, test_mode=True)
    assert [training.get_data_info(i)['phrases'] for i in range(2)] == [('mouse (animal rodent)',), ('computer mouse',)]
    assert testing.get_data_info(2)['text'] == ('mouse (animal rodent)', 'computer mouse', 'apple')


def test_what_is_not_exhaustive_is_ignored_in_training_and_not_tested(lvis):
    apple = by_category(lvis())[2, 'apple']['instances']
    assert [(one['bbox'], one['ignore_flag']) for one in apple] == [([50, 30, 70, 50], 0), ([0, 0, WIDTH, HEIGHT], 1)]
    assert 'apple' not in lvis(test_mode=True).get_data_info(1)['text']


def test_the_ignored_rest_in_the_instance_map(lvis, tmp_path):
    write_image(tmp_path / 'coco/val2017/000000000002.jpg')
    sample = lvis(pipeline=MAPS, negative_prob=0)[3]['data_samples']
    assert sample.text in ('apple', 'an apple', 'the apple', 'a photo of an apple', 'a photo of the apple', 'an image of an apple')
    ids = sample.gt_instance_map.ids.numpy()
    assert (ids[30:50, 50:70] == 1).all() and (ids == 1).sum() == 400 and (ids == -1).sum() == HEIGHT * WIDTH - 400


def test_lvis_test_samples_are_images(lvis):
    dataset = lvis(test_mode=True)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['text'] for info in infos] == [
        ('mouse', 'apple', 'trash can', 'computer mouse'),
        ('mouse', 'mouse (animal rodent)'),
        ('apple',),
    ]
    assert [[one['bbox_label'] for one in info['instances']] for info in infos] == [[0, 1, 1], [0], []]


def test_negatives_are_drawn_as_often_as_asked(lvis):
    dataset = lvis()
    random.seed(0)
    info = by_category(dataset)[1, 'apple']
    drawn = [dataset.draw(info) for _ in range(3000)]
    texts = Counter(one['text'] for one in drawn if not one['instances'])
    assert 0.18 < texts.total() / 3000 < 0.22
    assert {text.split(' ', 1)[-1] for text in texts} >= {'photo of a trash can', 'computer mouse'}
    assert not any('apple' in text for text in texts)
    assert {one['text'] for one in drawn if one['instances']} == {fill(template, 'apple') for template in dataset.templates}
    assert all(len(one['instances']) in (0, 2) and 'phrases' not in one for one in drawn)


def test_a_negative_sample_has_an_empty_map(lvis, tmp_path):
    write_image(tmp_path / 'coco/val2017/000000000001.jpg')
    sample = lvis(pipeline=MAPS, negative_prob=1)[0]['data_samples']
    assert len(sample.gt_instance_map) == 0 and not sample.gt_instance_map.ids.any() and len(sample.gt_instances) == 0


def test_without_negatives_the_phrase_is_a_true_one(lvis):
    data = lvis_data()
    for image in data['images']:
        image['neg_category_ids'] = []
    dataset = lvis(data, negative_prob=1)
    assert dataset.draw(dataset.get_data_info(0))['instances']


def keep(results):
    return results['text'], len(results['instances'])


def epoch(dataset, workers, seed):
    random.seed(seed)
    init = lambda worker: worker_init_fn(worker, workers, 0, seed)  # noqa: E731
    return [one for batch in DataLoader(dataset, 2, num_workers=workers, worker_init_fn=init, collate_fn=list) for one in batch]


@pytest.mark.parametrize('workers', [0, 2])
def test_draws_follow_mmengines_seeds(lvis, workers):
    dataset = lvis(pipeline=[keep], negative_prob=0.5, serialize_data=True)
    epochs = [epoch(dataset, workers, seed) for seed in (3, 3, 4)]
    assert epochs[0] == epochs[1] != epochs[2]


def test_a_class_with_hundreds_of_instances(lvis, tmp_path):
    data, places = lvis_data(), [(x, y) for x in range(0, WIDTH, 4) for y in range(0, HEIGHT, 4)]
    data['annotations'] = [lvis_annotation(i, 1, 3, (x, y, 3, 3)) for i, (x, y) in enumerate(places)]
    write_image(tmp_path / 'coco/val2017/000000000001.jpg')
    sample = lvis(data, pipeline=MAPS, negative_prob=0)[0]['data_samples']
    assert len(places) == 300 == len(sample.gt_instance_map) and (sample.gt_instance_map.areas == 9).all()


def test_crowds_and_useless_boxes_as_in_mmdet(lvis):
    data = lvis_data()
    crowd = lvis_annotation(6, 1, 3, (5, 40, 10, 10), iscrowd=1)
    useless = [(100, 0, 5, 5), (0, 0, 0.5, 9)]
    data['annotations'] += [
        crowd,
        *(lvis_annotation(7 + i, 1, 3, box) for i, box in enumerate(useless)),
        lvis_annotation(9, 3, 4, iscrowd=1),
    ]
    samples = by_category(lvis(data))
    assert [one['ignore_flag'] for one in samples[1, 'apple']['instances']] == [0, 0, 1]
    assert not any(image == 3 for image, _ in samples)


def test_lvis_v05_and_files_without_url(lvis, tmp_path):
    data = lvis_data()
    data['images'][0]['file_name'] = 'COCO_val2014_000000000001.jpg'  # v0.5 has both
    del data['images'][1]['coco_url']
    data['images'][1]['file_name'] = 'other/2.jpg'
    dataset = lvis(data, test_mode=True)
    names = [dataset.get_data_info(i)['img_path'] for i in range(2)]
    assert names == [str(tmp_path / 'coco' / name) for name in ('val2017/000000000001.jpg', 'other/2.jpg')]


def test_small_images_are_left_out_in_training(lvis):
    data = lvis_data()
    data['images'][0]['height'] = HEIGHT - 1
    assert len(lvis(data, filter_cfg=dict(min_size=HEIGHT - 1))) == 4
    assert list(by_category(lvis(data, filter_cfg=dict(min_size=HEIGHT)))) == [(2, 'mouse'), (2, 'apple')]
    assert len(lvis(data, filter_cfg=dict(min_size=HEIGHT), test_mode=True)) == 3


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda data: data.pop('categories'), "'categories'"),
        (lambda data: data['categories'][2].pop('name'), "category 3 has no 'name'"),
        (lambda data: data['categories'][2].update(synonyms=['']), 'category 3 has the names'),
        (lambda data: data['images'][1].pop('neg_category_ids'), "image 2 has no 'neg_category_ids'"),
        (lambda data: data['images'][1].pop('height'), "image 2 has no 'height'"),
        (lambda data: data['images'][1].update(neg_category_ids=[99]), 'image 2: neg_category_ids has the unknown category 99'),
        (lambda data: data['images'][0].pop('coco_url'), "image 1 has no 'file_name'"),
        (lambda data: data['annotations'][3].update(category_id=99), 'annotation 4: unknown category_id 99'),
        (lambda data: data['annotations'][3].update(image_id=99), 'annotation 4: unknown image_id 99'),
        (lambda data: data['annotations'][3].pop('segmentation'), "annotation 4 has no 'segmentation'"),
    ],
)
def test_lvis_errors_name_file_and_id(lvis, damage, message):
    data = json.loads(json.dumps(lvis_data()))
    damage(data)
    with pytest.raises(ValueError, match=rf'lvis_v1_val\.json.*{message}'):
        lvis(data)


def test_negative_prob_is_a_probability(lvis):
    with pytest.raises(ValueError, match='negative_prob'):
        lvis(negative_prob=1.2)


def test_lvis_val_100(real_data):
    path = real_data / 'lvis_val_100' / 'lvis_val_100.json'
    data = json.loads(path.read_text())
    pairs = Counter((one['image_id'], one['category_id']) for one in data['annotations'])
    partial = {(image['id'], number) for image in data['images'] for number in image['not_exhaustive_category_ids']}
    training, testing = (LVISPhraseDataset(ann_file=str(path), test_mode=mode) for mode in (False, True))
    infos = [training.get_data_info(i) for i in range(len(training))]
    assert len(training) == len(pairs) == 299
    assert sum(not one['ignore_flag'] for info in infos for one in info['instances']) == 977
    assert sum(one['ignore_flag'] for info in infos for one in info['instances']) == len(partial) == 16
    assert all(info['img_path'].startswith('val2017/') for info in infos)
    asked = [testing.get_data_info(i) for i in range(len(testing))]
    assert sum(len(info['text']) for info in asked) == 299 - 16 + sum(len(image['neg_category_ids']) for image in data['images'])
    assert sum(len(info['instances']) for info in asked) == 977 - sum(pairs[pair] for pair in partial)
    for phrase in (phrase for info in asked for phrase in info['text']):
        assert phrase.strip() == phrase and '_' not in phrase and '(' not in phrase
    assert all(len(set(info['text'])) == len(info['text']) for info in asked)
