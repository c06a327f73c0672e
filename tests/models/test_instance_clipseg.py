import copy
import functools

import pytest
import torch
from clip_small import TEXT, VISION
from head_contract import make_sample, scene
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info

from mmext_instseg.models.detectors.instance_clipseg import phrases_of
from mmext_instseg.registry import MODELS

CONFIG = dict(
    type='InstanceCLIPSeg',
    backbone=dict(type='CLIPViT', arch=VISION, taps=(0, 1, 2), out_type='raw', frozen=False),
    text_encoder=dict(type='OpenCLIPTextEncoder', arch=dict(TEXT, embed_dim=24), frozen=False),
    neck=dict(
        type='DistanceMapDecoder',
        in_channels=(32, 32, 32),
        condition_channels=24,
        channels=8,
        num_heads=2,
        feedforward_channels=16,
        fusion='hybrid',
        stage_channels=(8, 8, 4, 4),
    ),
    codec=dict(type='BoxDistanceCodec', sigma=2.0, peak_radius=1),
    heads=dict(
        mask=dict(type='BinaryMaskHead', in_channels=4, in_index=0, num_convs=0),
        heatmap=dict(type='CenterHeatmapHead', in_channels=4, in_index=0, num_convs=0),
        distance=dict(type='DistanceMapHead', in_channels=4, in_index=0, num_convs=0),
    ),
)


def build(**changes):
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        config[key] = {**config.get(key, {}), **value}
    model = MODELS.build(config)
    model.init_weights()
    return model


def asked(text, kind: str = 'one', shape: tuple[int, int] = (64, 64), ori_shape: tuple[int, int] | None = None) -> DetDataSample:
    sample = make_sample(scene(kind, *shape))
    sample.set_metainfo(dict(text=text, img_shape=shape, ori_shape=ori_shape or shape, img_path='a.png'))
    return sample


def images(num: int = 1, shape: tuple[int, int] = (64, 64)) -> torch.Tensor:
    return torch.randn(num, 3, *shape, generator=torch.Generator().manual_seed(1))


def ideal(model, sample, shape=(64, 64)) -> dict[str, torch.Tensor]:
    return {name: value for head in model.heads.values() for name, value in head.ideal_maps([sample], shape).items()}


@pytest.mark.parametrize('kinds', [('none', 'ignored'), ('one', 'six hundred')])
def test_losses_reach_every_parameter_with_and_without_instances(kinds):
    model = build()
    samples = [asked('the red circle', kinds[0]), asked('stars', kinds[1])]
    losses = model.loss(images(2), samples)
    assert set(losses) == {'loss_mask', 'loss_heatmap', 'loss_distance'}
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_weights_of_heads_are_initialised():
    prior = dict(type='Normal', layer='Conv2d', std=0.01, bias_prob=0.1)
    model = build(heads={**CONFIG['heads'], 'mask': {**CONFIG['heads']['mask'], 'init_cfg': prior}})
    model.init_weights()
    torch.testing.assert_close(model.heads.mask.project.bias.sigmoid(), torch.tensor([0.1]))


def test_an_image_is_encoded_once_and_chunks_change_nothing(monkeypatch):
    model = build(test_cfg=dict(chunk=2, mask_threshold=0.3)).eval()
    calls, sizes = [], []
    right, maps_of = type(model.backbone).forward, type(model).maps_of

    def watch(self, x):
        calls.append(len(x))
        return right(self, x)

    def count(self, feats, condition, image, shape):
        sizes.append(len(condition))
        return maps_of(self, feats, condition, image, shape)

    monkeypatch.setattr(type(model.backbone), 'forward', watch)
    monkeypatch.setattr(type(model), 'maps_of', count)
    phrases = ('a dog', 'red cup', 'the left car', 'sky', 'a dog')
    with torch.no_grad():
        one, two = model.predict(images(2), [asked(phrases), asked('sky')])
        assert calls == [2] and sizes == [2, 2, 2]
        model.test_settings.chunk = 100
        again, _ = model.predict(images(2), [asked(phrases), asked('sky')])
        assert sizes[3:] == [6]
    assert one.pred_phrase_masks.data.shape == (5, 64, 64) and two.pred_phrase_masks.data.shape == (1, 64, 64)
    assert torch.equal(one.pred_phrase_masks.data, again.pred_phrase_masks.data)
    assert torch.equal(one.pred_phrase_masks.data[0], one.pred_phrase_masks.data[4]), 'the same phrase twice'
    torch.testing.assert_close(one.pred_instances.scores, again.pred_instances.scores)
    assert one.pred_instances.label_names == [phrases[label] for label in one.pred_instances.labels]


def test_true_maps_give_the_truth_of_each_phrase(monkeypatch):
    model = build().eval()
    ids = torch.zeros(64, 64, dtype=torch.int64)
    ids[4:20, 6:22], ids[30:60, 30:50] = 1, 2
    both = asked(('squares', 'nothing', 'the large one'))
    truths = [make_sample(ids), make_sample(torch.zeros_like(ids)), make_sample(torch.where(ids == 2, 1, 0))]
    maps = [ideal(model, one) for one in truths]
    monkeypatch.setattr(type(model), 'maps_of', lambda *_: {name: torch.cat([one[name] for one in maps]) for name in maps[0]})
    (found,) = model.predict(images(), [both])
    pred = found.pred_instances
    assert sorted(pred.labels.tolist()) == [0, 0, 2] and pred.scores.tolist() == [1.0] * 3
    assert {tuple(box) for box in pred.bboxes.tolist()} == {(6, 4, 22, 20), (30, 30, 50, 60)}
    assert torch.equal(pred.masks[pred.labels == 2][0], ids == 2)
    assert torch.equal(found.pred_phrase_masks.data, torch.stack([ids > 0, ids > 2, ids == 2]))
    model.test_settings.max_per_phrase = 1
    assert model.predict(images(), [both])[0].pred_instances.labels.tolist() == [0, 2], 'the best of each phrase'


def test_padding_is_cut_and_results_have_the_original_size(monkeypatch):
    model = build().eval()
    ids = torch.zeros(48, 32, dtype=torch.int64)
    ids[8:16, 8:24] = 1
    truth = make_sample(ids)
    truth.gt_instance_map = truth.gt_instance_map.pad((64, 64))
    monkeypatch.setattr(type(model), 'maps_of', lambda *_: ideal(model, truth))
    (found,) = model.predict(images(), [asked('it', shape=(48, 32), ori_shape=(96, 64))])
    assert found.pred_instances.masks.shape == (1, 96, 64) and found.pred_phrase_masks.data.shape == (1, 96, 64)
    assert found.pred_instances.bboxes.tolist() == [[16, 16, 48, 32]]
    (found,) = model.predict(images(), [asked('it', shape=(48, 32), ori_shape=(96, 64))], rescale=False)
    assert found.pred_instances.bboxes.tolist() == [[8, 8, 24, 16]]


def test_empty_results_have_the_usual_dtypes_and_shapes():
    model = build(test_cfg=dict(mask_threshold=2.0)).eval()
    pred = model.predict(images(), [asked(('a', 'b'))])[0].pred_instances
    assert (pred.bboxes.shape, pred.labels.shape, pred.scores.shape, pred.masks.shape) == ((0, 4), (0,), (0,), (0, 64, 64))
    assert (pred.bboxes.dtype, pred.labels.dtype, pred.masks.dtype) == (torch.float32, torch.int64, torch.bool)
    assert pred.label_names == []


def test_boxes_need_no_heatmap():
    model = build(codec=dict(grouping='boxes'), heads=dict(heatmap=None)).eval()
    assert set(model.heads) == {'mask', 'distance'}
    model.predict(images(), [asked('a dog')])
    with pytest.raises(ValueError, match=r"heads lacks \['heatmap'\]"):
        build(heads=dict(heatmap=None))


def test_an_image_that_is_no_square():
    model = build().eval()
    with torch.no_grad():
        (found,) = model.predict(images(1, (48, 80)), [asked(('a dog', 'a cat'), shape=(48, 80))])
    assert found.pred_phrase_masks.data.shape == (2, 48, 80)
    assert model.loss(images(1, (48, 80)), [asked('a dog', shape=(48, 80))])['loss_mask'] > 0


def test_the_phrase_changes_the_maps():
    model = build().eval()
    with torch.no_grad():
        one, two, none = (model._forward(images(), None if text is None else [asked(text)])[0] for text in ('a dog', 'the sky above', None))
    assert not torch.allclose(one, two) and not torch.allclose(one, none)


def test_tensor_mode_takes_pairs_of_image_and_phrase():
    """So that get_flops.py of mmdet counts a test image, all of its phrases included."""
    model = build().eval()
    samples = [asked(('a dog', 'the sky above')), asked('a dog')]
    with torch.no_grad():
        pairs = model(images(2), samples, mode='tensor')
        alone = model(images(2)[:1], [asked('the sky above')], mode='tensor')
    assert [len(one) for one in pairs] == [3, 3, 3]
    for many, one in zip(pairs, alone, strict=True):
        torch.testing.assert_close(many[1:2], one)
    flops, forward = [], model.forward
    for sample in samples:
        model.forward = functools.partial(forward, data_samples=[sample])
        flops.append(get_model_complexity_info(model, None, inputs=images(), show_table=False, show_arch=False)['flops'])
    assert flops[1] < flops[0] < 2 * flops[1], 'the image is encoded once'


@pytest.mark.parametrize('text', [None, (), ''])
def test_a_sample_without_a_phrase_is_named(text):
    with pytest.raises(ValueError, match=r'a\.png: no phrase|empty'):
        build().eval().predict(images(), [asked(text)])


def test_training_takes_one_phrase_a_sample():
    with pytest.raises(ValueError, match=r'a\.png: 2 phrases'):
        build().loss(images(), [asked(('a', 'b'))])
    assert phrases_of(asked(['a']), most=1) == ('a',)


@pytest.mark.parametrize('text', ['a dog . red cup', 'a dog. red cup.', ' . a dog . . red cup . '])
def test_custom_entities_are_phrases(text):
    """As mmdet's GLIP reads them; without, a text is one phrase whatever stands in it."""
    sample = asked(text)
    assert phrases_of(sample) == (text,)
    sample.set_metainfo(dict(custom_entities=True))
    assert phrases_of(sample) == ('a dog', 'red cup')


def test_custom_entities_may_be_none():
    sample = asked(' . ')
    sample.set_metainfo(dict(custom_entities=True))
    with pytest.raises(ValueError, match=r'a\.png: no phrase'):
        phrases_of(sample)
