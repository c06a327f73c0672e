"""Phrases about Shapes: what they say, the files in two published formats, and the data set made of them."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.datasets import LVISV1Dataset
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from PIL import Image
from pycocotools import mask as coco_mask

from mmext_instseg.datasets import LVISPhraseDataset, PhraseCutDataset, ShapesPhraseDataset
from mmext_instseg.datasets.shapes import THINGS, Scene, SceneSpec, make_shapes, make_shapes_phrases, phrases_folder, scene_phrases
from mmext_instseg.datasets.shapes.__main__ import main as command
from mmext_instseg.datasets.shapes.phrase_files import IMAGE_FILE, LVIS_FILE, REFER_FILE
from mmext_instseg.datasets.shapes.sampling import Draw
from mmext_instseg.evaluation import PhraseMetric
from mmext_instseg.registry import DATASETS

SMALL = {'size': (64, 72), 'seed': 5, 'num_images': 6}
SPEC = SceneSpec('standard', SMALL['size'], SMALL['seed'])
SENTENCE = re.compile(r'(the )?((?:small|large) )?(\w+ )?(\w+?)(s?)(?: (left of|right of|above|below) the ((?:\w+ )?\w+))?')


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('shapes')
    make_shapes_phrases(root, **SMALL)
    return root


def read(text: str, scene: Scene) -> tuple[set[int], bool]:
    """What a phrase means, by its words alone, and whether it is in the plural."""
    article, size, color, name, plural, direction, there = SENTENCE.fullmatch(text).groups()
    side = min(scene.ids.shape)
    meant = set()
    for i, one in enumerate(scene.objects):
        fits = one.name == name and (not color or one.color == color.strip())
        meant |= {i} if fits and (not size or (one.size < 0.14 * side if size == 'small ' else one.size >= 0.28 * side)) else set()
    if direction:
        *look, kind = there.split()
        (anchor,) = [i for i, one in enumerate(scene.objects) if one.name == kind and look in ([], [one.color])]
        (x, y), meant = scene.objects[anchor].center, meant - {anchor}
        steps = {i: (scene.objects[i].center[0] - x, scene.objects[i].center[1] - y) for i in meant}
        assert meant and all(abs(step[direction in ('above', 'below')]) >= 0.06 * side for step in steps.values())
        holds = {
            'left of': lambda dx, _: dx < 0,
            'right of': lambda dx, _: dx > 0,
            'above': lambda _, dy: dy < 0,
            'below': lambda _, dy: dy > 0,
        }
        meant = {i for i in meant if holds[direction](*steps[i])}
    assert bool(article) != bool(plural)
    return meant, bool(plural)


@pytest.mark.parametrize('variant', ['standard', 'hard', 'nested'])
def test_phrases_mean_what_they_say(variant):
    spec, found = SceneSpec(variant, seed=2), []
    for index in range(60):
        scene = spec.scene(index)
        phrases = scene_phrases(scene, Draw(9, index))
        assert len({phrase.text for phrase in phrases}) == len(phrases)
        for phrase in phrases:
            meant, plural = read(phrase.text, scene)
            assert set(phrase.objects) == meant and plural == (len(meant) > 1), phrase.text
            noun = ' '.join([*phrase.attributes, phrase.name])
            assert noun in phrase.text and (
                phrase.relation is None or phrase.text.endswith(f'{phrase.relation[0]} the {phrase.relation[1]}')
            )
        assert {phrase.name for phrase in phrases if phrase.objects} == {one.name for one in scene.objects}
        found += phrases
    texts = [phrase.text for phrase in found]
    for words in ('the small red ', 'large ', ' left of the ', ' below the ', 's above the '):
        assert any(words in text for text in texts), words
    negatives = [phrase for phrase in found if not phrase.objects]
    assert 0.1 < len(negatives) / len(found) < 0.3
    assert {(bool(one.attributes), bool(one.relation)) for one in negatives} >= {(False, False), (True, False), (False, True)}


def test_phrases_are_frozen(data_root):
    """Figures are quoted for these: whoever changes one raises PHRASES_VERSION."""
    refer = json.loads((phrases_folder(data_root, **SMALL) / REFER_FILE).read_text())
    told = json.dumps([(task['task_id'], task['phrase'], task['ann_ids'], task['instance_boxes']) for task in refer])
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == 'a6d68adc84356eac'


def test_the_data_set_itself_is_as_before(tmp_path):
    """Digests from before there were phrases."""
    folder = make_shapes(tmp_path, **SMALL)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in folder.glob('*.json')}
    assert digests == {'instances.json': '00bf9090d49bbe77', 'panoptic.json': '9e6b44243e0c9d92', 'manifest.json': 'a45a247b61a782b0'}
    make_shapes_phrases(tmp_path, **SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, f'{folder.name}_phrases']


def test_the_keys_are_the_published_ones(data_root):
    folder = phrases_folder(data_root, **SMALL)
    refer, images, lvis = (json.loads((folder / name).read_text()) for name in (REFER_FILE, IMAGE_FILE, LVIS_FILE))
    keys = {'task_id', 'image_id', 'ann_ids', 'instance_boxes', 'Polygons', 'phrase', 'phrase_structure'}
    assert all(set(task) == keys for task in refer)
    assert all(task['task_id'].startswith(f'{task["image_id"]}__') for task in refer) and len({task['task_id'] for task in refer}) == len(
        refer
    )
    assert {'image_id', 'width', 'height', 'split'} <= set(images[0]) and len(images) == SMALL['num_images']
    assert set(lvis) == {'info', 'images', 'annotations', 'categories', 'licenses'}
    lists = {'neg_category_ids', 'not_exhaustive_category_ids'}
    assert set(lvis['images'][0]) == lists | {'id', 'width', 'height', 'coco_url', 'flickr_url', 'date_captured', 'license'}
    assert set(lvis['annotations'][0]) == {'id', 'image_id', 'category_id', 'segmentation', 'area', 'bbox'}
    described = {'id', 'name', 'synset', 'synonyms', 'def', 'frequency', 'image_count', 'instance_count'}
    assert all(set(category) == described for category in lvis['categories'])
    for category in lvis['categories']:
        labels = [SPEC.scene(i).labels.tolist() for i in range(SMALL['num_images'])]
        assert category['instance_count'] == sum(found.count(category['id'] - 1) for found in labels)
        assert category['image_count'] == sum(category['id'] - 1 in found for found in labels)


def masks_of(instances):
    return [coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(one['mask'], *SMALL['size']))).astype(bool) for one in instances]


def test_phrasecut_reads_the_masks_of_the_scenes(data_root):
    folder = phrases_folder(data_root, **SMALL)
    dataset = PhraseCutDataset(data_root=str(folder), ann_file=REFER_FILE, test_mode=True)
    assert len(dataset) == SMALL['num_images']
    for index in range(len(dataset)):
        scene, info = SPEC.scene(index), dataset.get_data_info(index)
        image = np.asarray(Image.open(info['img_path']))
        assert image.shape == scene.image.shape and np.abs(image.astype(int) - scene.image).mean() < 3  # JPEG
        masks = masks_of(info['instances'])
        negative = False
        for label, text in enumerate(info['text']):
            numbers = sorted(read(text, scene)[0])
            found = [mask for mask, one in zip(masks, info['instances'], strict=True) if one['bbox_label'] == label]
            np.testing.assert_array_equal(found, [scene.ids == number + 1 for number in numbers] or np.zeros((0,)))
            assert numbers or label >= len(info['text']) - 3
            negative |= not numbers
        assert negative
        for mask, one in zip(masks, info['instances'], strict=True):
            rows, cols = np.nonzero(mask)
            assert one['bbox'] == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]


def test_lvis_reads_the_masks_of_the_scenes(data_root):
    folder = phrases_folder(data_root, **SMALL)
    dataset = LVISPhraseDataset(data_root=str(folder), ann_file=LVIS_FILE, test_mode=True)
    for index in range(SMALL['num_images']):
        scene, info = SPEC.scene(index), dataset.get_data_info(index)
        present = [name for name in THINGS if any(one.name == name for one in scene.objects)]
        assert info['text'] == (*present, *(name for name in THINGS if name not in present))
        assert info['img_path'] == str(folder / 'images' / f'{index + 1}.jpg')
        masks = masks_of(info['instances'])
        assert len(masks) == len(scene.objects)
        union = {name: np.isin(scene.ids, [i + 1 for i, one in enumerate(scene.objects) if one.name == name]) for name in present}
        for label, name in enumerate(present):
            mine = [mask for mask, one in zip(masks, info['instances'], strict=True) if one['bbox_label'] == label]
            np.testing.assert_array_equal(np.any(mine, axis=0), union[name])


def test_mmdets_own_lvis_reader_takes_the_file(data_root):
    folder = phrases_folder(data_root, **SMALL)
    dataset = LVISV1Dataset(data_root=str(folder), ann_file=LVIS_FILE, data_prefix=dict(img=''), test_mode=True)
    info = dataset.get_data_info(0)
    assert Path(info['img_path']).is_file() and [one['bbox_label'] for one in info['instances']] == SPEC.scene(0).labels.tolist()


def build(root, **kwargs):
    return DATASETS.build(dict(type='ShapesPhraseDataset', data_root=str(root), **{**SMALL, 'size': [64, 72], **kwargs}))


def test_training_and_unseen_test_scenes_by_config(tmp_path):
    maps = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True), dict(type='GenerateInstanceMap'), dict(type='PackDenseInputs')]
    training = build(tmp_path, pipeline=[dict(type='LoadImageFromFile'), *maps], negative_prob=0)
    testing = build(tmp_path, seed=6, num_images=3, test_mode=True)
    assert isinstance(training, ShapesPhraseDataset) and training.metainfo['classes'] == ('object',)
    assert (len(testing), sorted(path.name for path in tmp_path.iterdir())) == (
        3,
        [
            'v1_standard_64x72_seed5_n6_phrases',
            'v1_standard_64x72_seed6_n3_phrases',
        ],
    )
    seen = {Path(training.get_data_info(i)['img_path']).read_bytes() for i in range(len(training))}
    assert len(seen) == 6 and not seen & {Path(testing.get_data_info(i)['img_path']).read_bytes() for i in range(3)}
    for index in range(0, len(training), 7):
        packed, scene = training[index], SPEC.scene(training.get_data_info(index)['img_id'] - 1)
        sample, numbers = packed['data_samples'], sorted(read(packed['data_samples'].text, scene)[0])
        expected = np.zeros_like(scene.ids)
        for row, number in enumerate(numbers, 1):
            expected[scene.ids == number + 1] = row
        np.testing.assert_array_equal(sample.gt_instance_map.ids, expected)
        assert sample.gt_instance_map.labels.tolist() == [0] * len(numbers)


def test_negatives_in_training_are_those_of_the_scene(data_root):
    dataset = build(data_root, negative_prob=1)
    drawn = [dataset.draw(dataset.get_data_info(i)) for i in range(len(dataset))]
    assert all(one['instances'] == [] and not read(one['text'], SPEC.scene(one['img_id'] - 1))[0] for one in drawn)


def test_truth_as_prediction_is_perfect(data_root):
    meta = ('img_id', 'ori_shape', 'text', 'instances')
    dataset = build(data_root, test_mode=True, pipeline=[dict(type='LoadImageFromFile'), dict(type='PackDenseInputs', meta_keys=meta)])
    evaluator = Evaluator(PhraseMetric())
    for packed in dataset:
        sample = packed['data_samples']
        masks = torch.from_numpy(np.stack(masks_of(sample.instances)))
        labels = torch.tensor([one['bbox_label'] for one in sample.instances])
        scores = torch.rand(len(masks), generator=torch.Generator().manual_seed(0))
        sample.pred_instances = InstanceData(masks=masks, labels=labels, scores=scores, bboxes=torch.zeros(len(masks), 4))
        unions = [masks[labels == i].any(dim=0) for i in range(len(sample.text))]
        sample.pred_phrase_masks = PixelData(data=torch.stack(unions))
        evaluator.process([sample])
    found = evaluator.evaluate(len(dataset))
    perfect = ('mDice', 'mDice_positive', 'mIoU_positive', 'cIoU', 'matched_Dice', 'AP', 'AP50', 'empty_negatives')
    assert [found[f'phrase/{key}'] for key in perfect] == pytest.approx([1] * len(perfect))
    assert found['phrase/mIoU'] == pytest.approx(1 - found['phrase/negatives'] / found['phrase/phrases'])


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda folder: (folder / 'manifest.json').write_text('{"version": "v1"}'), 'manifest.json says'),
        (lambda folder: (folder / REFER_FILE).write_text('[]'), f'{REFER_FILE} is missing or was changed'),
        (lambda folder: (folder / 'images' / '2.jpg').unlink(), 'images/ holds 1 JPG files instead of 2'),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, damage, message):
    damage(make_shapes_phrases(tmp_path, size=(48, 48), num_images=2))
    with pytest.raises(RuntimeError, match=message):
        ShapesPhraseDataset(str(tmp_path), size=(48, 48), num_images=2)


@pytest.mark.parametrize(('kwargs', 'message'), [({'image_file': 'mine.json'}, 'leave out'), ({'num_images': 0}, 'num_images must be')])
def test_bad_arguments(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        ShapesPhraseDataset(str(tmp_path), **kwargs)
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path, monkeypatch, capsys):
    asked = ['shapes', str(tmp_path), '--phrases', '--size', '48', '64', '--num-images', '2', '--seed', '3']
    monkeypatch.setattr('sys.argv', asked)
    command()
    command()
    folder = tmp_path / 'v1_standard_48x64_seed3_n2_phrases'
    said = capsys.readouterr().out
    assert f'{folder.name}: 2 scenes in' in said.replace('\n', '') and 'was there already' in said
    assert sorted(path.name for path in folder.iterdir()) == sorted(['images', 'manifest.json', REFER_FILE, IMAGE_FILE, LVIS_FILE])
