"""The tiny config, untrained: what it finds is noise, how it is asked and answers is not."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config

from mmext_instseg.inference import TextQueryInferencer
from mmext_instseg.ops import sample_bilinear


@pytest.fixture(scope='module')
def find(untrained_text_model) -> TextQueryInferencer:
    config, weights = untrained_text_model
    config = Config.fromfile(config)
    config.model.test_cfg.mask_threshold = 0.1  # where untrained masks begin
    return TextQueryInferencer(config, weights, score_threshold=0.0, device='cpu')


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)


def test_a_result_for_each_phrase(find, image):
    results = find(image, ['a dog', 'red cup'])
    assert [one.phrase for one in results] == ['a dog', 'red cup']
    for one in results:
        assert one.masks.shape == (len(one), 128, 128) and one.boxes.shape == (len(one), 4) and one.union.shape == (128, 128)
        assert one.masks.dtype == one.union.dtype == torch.bool
        assert (one.scores.diff() <= 0).all()
        assert torch.equal(one.instances.masks(), one.masks) and torch.equal(one.instances.boxes, one.boxes)
    (alone,) = find(image, 'red cup')
    assert torch.equal(alone.union, results[1].union)
    torch.testing.assert_close(alone.scores, results[1].scores)


def test_files_and_batches(find, image, tmp_path):
    path = tmp_path / 'ö.png'
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())
    one, two = find([path, image], ['a dog', 'a cat'])
    assert [len(results) for results in (one, two)] == [2, 2]
    for first, second in zip(one, two, strict=True):
        torch.testing.assert_close(first.scores, second.scores)
        assert torch.equal(first.union, second.union)
    assert find([], 'a dog') == []


def test_maps_of_each_phrase(find, image):
    phrases = ['a dog', 'red cup']
    for maps, result in zip(find.maps(image[:96], phrases), find(image[:96], phrases), strict=True):
        assert {name: value.shape for name, value in maps.items()} == dict(mask_prob=(1, 48, 64), heatmap=(1, 48, 64), distance=(4, 48, 64))
        assert torch.equal(sample_bilinear(maps['mask_prob'][0], (96, 128)) > 0.1, result.union)


def test_drawing(find, image, tmp_path):
    results = find(image, ['a $ sign', 'red cup'])
    plain = cv2.imread(str(find.draw(tmp_path / 'new' / 'plain.png', image, results)))
    rich = cv2.imread(str(find.draw(tmp_path / 'new' / 'rich.png', image, results, maps=True)))
    assert plain.shape[1] == rich.shape[1] == 1600 and plain.std() > 10
    assert rich.shape[0] < plain.shape[0]  # eight columns in place of two
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['plain.png', 'rich.png']
    with pytest.raises(ValueError, match='no results to draw'):
        find.draw(tmp_path / 'none.png', image, [])


def test_weak_instances_are_left_out(find, image, monkeypatch):
    everything = find(image, ['a dog'])[0]
    monkeypatch.setattr(find, 'score_threshold', 1.1)
    assert len(everything) > 0 == len(find(image, ['a dog'])[0])


@pytest.mark.parametrize(
    ('phrase', 'message'),
    [
        ('', 'a phrase is empty'),
        ('two\nlines', r'control character U\+000A at place 3'),
        ('a\0b', r'control character U\+0000'),
        ('x' * 10**6, 'at most 1000 characters'),
        ('word ' * 90, 'tokens with its start and end'),
    ],
)
def test_what_is_no_phrase_is_refused(find, image, phrase, message):
    with pytest.raises(ValueError, match=message):
        find(image, ['a dog', phrase])


@pytest.mark.parametrize('phrase', ['красная чашка', 'كوب أحمر', '🐶', 'a "quoted" <b>dog</b>'])
def test_any_script_is_a_phrase(find, image, phrase):
    assert find(image, [phrase])[0].phrase == phrase


def test_errors_say_what_to_do(find, image, tmp_path):
    with pytest.raises(ValueError, match='no phrase; name what is to be found'):
        find(image, [])
    for wrong in (image[..., 0], image.astype(np.float32)):
        with pytest.raises(ValueError, match=r'an image is \(H, W, 3\) uint8'):
            find(wrong, 'a dog')
    with pytest.raises(ValueError, match='is not a file'):
        find(tmp_path / 'missing.png', 'a dog')
    with pytest.raises(ValueError, match='is not a file; give the weights'):
        TextQueryInferencer(find.model.cfg, tmp_path / 'missing.pth')


@pytest.fixture(scope='module')
def inferencer(untrained_text_model) -> DetInferencer:
    """mmdet's, on the same network as `find`."""
    config, weights = untrained_text_model
    inferencer = DetInferencer(str(config), str(weights), device='cpu', show_progress=False)
    inferencer.model.test_settings.mask_threshold = 0.1
    return inferencer


def test_mmdets_own_inferencer_takes_texts(inferencer, image):
    found = inferencer([image, image], texts='a dog', return_datasamples=True, no_save_vis=True)
    for sample in found['predictions']:
        assert sample.text == 'a dog' and sample.pred_phrase_masks.data.shape == (1, 128, 128)
        assert set(sample.pred_instances.label_names) == {'a dog'}


@pytest.mark.parametrize(
    'asked',
    [
        dict(texts=[['a dog', 'red cup'], ['a dog', 'red cup']]),
        dict(texts='a dog . red cup .', custom_entities=True),
        dict(texts=['a dog . red cup', 'a dog. red cup'], custom_entities=True),
    ],
    ids=['lists', 'one text', 'a text an image'],
)
def test_mmdets_own_inferencer_takes_several_phrases(inferencer, find, image, asked):
    """Each instance is of a phrase: `labels` count the phrases, `label_names` names them; as `TextQueryInferencer` finds them."""
    expected = find(image, ['a dog', 'red cup'])
    found = inferencer([image, image], batch_size=2, return_datasamples=True, **asked)
    assert len(found['predictions']) == 2
    for sample in found['predictions']:
        assert sample.pred_phrase_masks.data.shape == (2, 128, 128)
        instances = sample.pred_instances
        assert instances.label_names == [('a dog', 'red cup')[label] for label in instances.labels.tolist()]
        for label, one in enumerate(expected):
            own = instances[instances.labels == label]
            assert len(own) == len(one) > 0 and torch.equal(own.masks, one.masks)
            torch.testing.assert_close(own.scores, one.scores)


def test_mmdets_own_inferencer_writes_and_draws_several_phrases(inferencer, image, tmp_path):
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), image)
    found = inferencer(
        str(path),
        texts='a dog . red cup',
        custom_entities=True,
        pred_score_thr=0.0,
        return_vis=True,
        no_save_pred=False,
        out_dir=str(tmp_path),
    )
    assert set(found['predictions'][0]['labels']) == {0, 1}
    assert found['visualization'][0].shape == image.shape
    assert (tmp_path / 'preds' / 'photo.json').is_file() and (tmp_path / 'vis' / 'photo.png').is_file()
