import copy
from dataclasses import replace

import pytest
import torch
from head_contract import make_sample, scene
from mmdet.structures import DetDataSample
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData

from mmext_instseg.models.detectors.oracles import probability_at_centres, take_true_labels
from mmext_instseg.registry import MODELS
from mmext_instseg.structures import InstanceMap

HEADS = dict(
    instance=dict(type='DCMEHead', in_channels=4, in_index=4, channels=4),
    semantic=dict(type='GridClassHead', in_channels=4, in_index=4, channels=4, num_things_classes=3),
)
CONFIG = dict(
    type='BottomUpSegmentor',
    backbone=dict(type='mmseg.UNet', base_channels=4, upsample_cfg=dict(type='mmseg.InterpConv')),
    codec=dict(type='DCMECodec', unit=8.0),
    heads=HEADS,
)


def build(**changes):
    torch.manual_seed(0)
    return MODELS.build({**copy.deepcopy(CONFIG), **changes})


def batch(*kinds: str, shape: tuple[int, int] = (48, 64)) -> tuple[torch.Tensor, list[DetDataSample]]:
    images = torch.randn(len(kinds), 3, *shape, generator=torch.Generator().manual_seed(0))
    return images, [make_sample(scene(kind, *shape)) for kind in kinds]


def objects(labels: torch.Tensor, masks: torch.Tensor) -> set[tuple]:
    """Label and pixels of each object, whatever their order."""
    return {(int(label), tuple(mask.flatten().nonzero().flatten().tolist())) for label, mask in zip(labels, masks, strict=True)}


def test_weights_of_heads_are_initialised():
    heads = {**HEADS, 'semantic': dict(HEADS['semantic'], init_cfg=dict(type='Constant', layer='Conv2d', val=0.0, bias=0.5))}
    model = build(heads=heads)
    model.init_weights()
    assert (model.heads.semantic.project.bias == 0.5).all() and not model.heads.semantic.project.weight.any()


def test_loss_reaches_every_parameter_without_any_instance():
    model = build()
    losses = model.loss(*batch('none', 'ignored'))
    assert set(losses) == {'loss_dcme', 'mse', 'loss_grid_class'}
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_tensor_mode_gives_the_raw_outputs():
    model = build()
    images, samples = batch('one')
    raw = model(images, samples, mode='tensor')
    assert [tuple(value.shape) for value in raw] == [(1, 2, 48, 64), (1, 4, 48, 64)]


def test_features_are_neck_outputs_then_backbone_outputs():
    neck = dict(type='FPN', in_channels=[64, 32, 16, 8, 4], out_channels=8, num_outs=5)
    feats = build(neck=neck).extract_feat(torch.randn(1, 3, 32, 32))
    assert [value.shape[1] for value in feats] == [8] * 5 + [64, 32, 16, 8, 4]


@pytest.mark.parametrize('label_by', ['vote', 'centre'])
def test_true_maps_of_both_heads_give_the_truth_back(label_by):
    model = build(test_cfg=dict(true_maps=('semantic', 'instance'), label_by=label_by)).eval()
    images, samples = batch('one', 'none', 'none')
    halves = torch.ones(48, 64, dtype=torch.int64)
    halves[:, 33:] = 2
    samples[1] = make_sample(halves)
    truth = [sample.gt_instance_map for sample in samples]
    for sample, true in zip(model.predict(images, samples), truth, strict=True):
        pred = sample.pred_instances
        assert len(pred) == len(true)
        assert objects(pred.labels, pred.masks) == objects(true.labels, true.masks())
        assert pred.scores.tolist() == [1.0] * len(true)


def test_empty_results_have_the_usual_dtypes_and_shapes():
    model = build(test_cfg=dict(true_maps=('semantic', 'instance'))).eval()
    pred = model.predict(*batch('none'))[0].pred_instances
    assert (pred.bboxes.shape, pred.labels.shape, pred.scores.shape, pred.masks.shape) == ((0, 4), (0,), (0,), (0, 48, 64))
    assert (pred.bboxes.dtype, pred.labels.dtype, pred.scores.dtype, pred.masks.dtype) == (
        torch.float32,
        torch.int64,
        torch.float32,
        torch.bool,
    )


def test_padding_is_cut_and_results_have_the_original_size():
    model = build(test_cfg=dict(true_maps=('semantic', 'instance'))).eval()
    ids = torch.zeros(48, 64, dtype=torch.int64)
    ids[10:20, 10:30] = 1
    ids[40:, 40:] = 2  # wholly in the padding
    sample = make_sample(ids)
    sample.set_metainfo(dict(img_shape=(36, 40), ori_shape=(72, 100)))
    pred = model.predict(torch.randn(1, 3, 48, 64), [sample])[0].pred_instances
    assert pred.masks.shape == (1, 72, 100)
    assert pred.bboxes.tolist() == [[25, 20, 75, 40]]
    again = model.predict(torch.randn(1, 3, 48, 64), [sample], rescale=False)[0].pred_instances
    assert again.bboxes.tolist() == [[10, 10, 30, 20]]


@pytest.mark.parametrize('relative', [False, True])
def test_codes_of_centroids_refer_to_the_image_whatever_its_padding(relative):
    codec = dict(type='PECentroidCodec', relative=relative)
    heads = dict(instance=dict(type='PECentroidHead', in_channels=8, in_index=3, channels=4, edge=None))
    settings = dict(true_maps='instance', foreground_threshold=None)
    model = build(codec=codec, heads=heads, test_cfg=settings).eval()  # maps at stride 2
    ids = scene('one', 32, 48).long()
    alone, padded = make_sample(ids), make_sample(ids)
    padded.gt_instance_map = padded.gt_instance_map.pad((64, 80))
    padded.set_metainfo(dict(img_shape=(32, 48), ori_shape=(32, 48)))
    (one,) = model.predict(torch.randn(1, 3, 32, 48), [alone])
    (two,) = model.predict(torch.randn(1, 3, 64, 80), [padded])
    assert len(one.pred_instances) == 1
    assert torch.equal(one.pred_instances.masks, two.pred_instances.masks)
    torch.testing.assert_close(one.pred_instances.scores, two.pred_instances.scores)


def test_score_is_concentration_times_class_probability():
    model = build()
    model.test_settings.max_per_image = 2
    ids = torch.tensor([[1, 1, 2, 3]])
    groups = InstanceMap.from_ids(ids, torch.zeros(3), scores=torch.tensor([0.5, 1.0, 1.0]))
    probability = torch.tensor([[[0.8, 0.4, 0.1, 0.2]], [[0.2, 0.4, 0.7, 0.3]], [[0.0, 0.0, 0.1, 0.1]]])
    found = model._classify(groups, probability, model.test_settings, groups.shape)
    assert found.labels.tolist() == [0, 1]  # means 0.6 and 0.7; the third, 0.3, is cut by max_per_image
    torch.testing.assert_close(found.scores, torch.tensor([0.3, 0.7]))
    assert found.ids.tolist() == [[1, 1, 2, 0]]


def test_grid_class_at_the_centre_of_mass():
    model = build(test_cfg=dict(label_by='centre'))
    ids = torch.zeros(4, 8, dtype=torch.int64)
    ids[0, 0:8] = 1  # centre of mass (3.5, 0): block 1 of four
    groups = InstanceMap.from_ids(ids, torch.zeros(1), scores=torch.ones(1))
    probability = torch.zeros(3, 2, 4)
    probability[2, 0, 1], probability[0] = 0.9, 0.5
    assert model._classify(groups, probability, model.test_settings, groups.shape).labels.tolist() == [2]


def test_panoptic_results():
    heads = copy.deepcopy(HEADS)
    heads['semantic'].update(num_stuff_classes=2)
    model = build(heads=heads, test_cfg=dict(true_maps=('semantic', 'instance'), panoptic=True)).eval()
    images, samples = batch('one')
    semantic = torch.full((1, 48, 64), 4)
    semantic[:, :, :20] = 3
    samples[0].gt_sem_seg = PixelData(sem_seg=semantic)
    instances = samples[0].gt_instance_map
    panoptic = model.predict(images, samples)[0].pred_panoptic_seg.sem_seg
    expected = torch.where(instances.ids > 0, 1000 + instances.labels[0], semantic[0])
    assert torch.equal(panoptic[0], expected)


def test_mixed_precision_predicts_in_float32():
    model = build().eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pred = model.predict(*batch('one'))[0].pred_instances
    assert pred.scores.dtype == torch.float32 and pred.bboxes.dtype == torch.float32


def test_one_pass_through_the_network_serves_several_settings(monkeypatch):
    model = build(codec=dict(type='DCMECodec', unit=8.0, min_area=1, min_votes=1.0)).eval()
    images, samples = batch('one', 'overlapping')
    heads = model.predict_heads(images)
    before = {head: {name: value.clone() for name, value in maps.items()} for head, maps in heads.items()}
    for change in (
        dict(),
        dict(oracle='instance'),
        dict(oracle='class'),
        dict(true_maps='semantic'),
        dict(true_maps=('instance',), label_by='centre'),
        dict(true_maps=('semantic', 'instance'), score_threshold=0.5),
        dict(foreground_threshold=0.9, max_per_image=3),
    ):
        settings = replace(model.test_settings, **change)
        shared = [one.pred_instances for one in model.results_from_maps(heads, samples, (48, 64), settings)]
        assert all(len(one) for one in shared), change
        monkeypatch.setattr(model, 'test_settings', settings)
        for one, sample in zip(shared, model.predict(images, samples), strict=True):
            alone = sample.pred_instances
            assert all(torch.equal(one[key], alone[key]) for key in ('bboxes', 'labels', 'scores', 'masks')), change
        monkeypatch.undo()
    assert all(torch.equal(heads[head][name], value) for head, maps in before.items() for name, value in maps.items())


def test_instance_oracle_is_the_truth_with_the_grid_class_at_each_centre():
    model = build(test_cfg=dict(oracle='instance', label_by='vote', score_threshold=0.99, max_per_image=2)).eval()
    ids = torch.zeros(48, 64, dtype=torch.int64)
    ids[0:8, 0:8], ids[40:48, 0:62], ids[4:12, 50:60] = 1, 2, 4  # row 3 has no pixel
    sample = make_sample(ids)
    sample.set_metainfo(dict(img_shape=(48, 62), ori_shape=(96, 124)))
    probability = torch.full((1, 4, 3, 4), 0.1)  # blocks of 16
    probability[0, 1, 0, 0] = 0.6  # row 1: centre (3.5, 3.5)
    probability[0, 2, 2, 1] = 0.7  # row 2: centre (30.5, 43.5); most of its pixels lie elsewhere
    probability[0, 0, 0, 3], probability[0, 3, 0, 3] = 0.4, 0.9  # row 4: centre (54.5, 7.5); the background doesn't count
    heads = dict(instance=dict(displacement=torch.zeros(1, 2, 48, 64)), semantic=dict(class_prob=probability))
    pred = model.results_from_maps(heads, [sample], (48, 64))[0].pred_instances
    assert pred.labels.tolist() == [1, 2, 0, 0]
    torch.testing.assert_close(pred.scores, torch.tensor([0.6, 0.7, 0.0, 0.4]))
    doubled = ids[:, :62].repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(pred.masks, torch.stack([doubled == k for k in (1, 2, 3, 4)]))


def test_instance_oracle_without_instances():
    pred = build(test_cfg=dict(oracle='instance')).eval().predict(*batch('none'))[0].pred_instances
    assert (pred.labels.shape, pred.scores.shape, pred.masks.shape) == ((0,), (0,), (0, 48, 64))


def test_class_oracle_by_hand():
    found = InstanceMap.from_ids(torch.tensor([[1, 1, 1, 2, 2, 3, 4, 0]]), torch.tensor([0, 0, 2, 0]), scores=torch.full((4,), 0.5))
    truth = InstanceMap.from_ids(torch.tensor([[1, 2, 2, 2, 3, 0, -1, 3]]), torch.tensor([1, 2, 0]))
    given = take_true_labels(found, truth)
    # 1 shares two pixels with row 2 and one with row 1; 2 one each with rows 2 and 3: the lower; 3 and 4 meet none.
    assert given.labels.tolist() == [2, 2, 2, 0]
    assert torch.equal(given.ids, found.ids) and torch.equal(given.scores, found.scores)
    nothing = InstanceMap.from_ids(torch.zeros(1, 8, dtype=torch.int64), torch.zeros(0))
    assert take_true_labels(found, nothing).labels.tolist() == [0, 0, 2, 0]
    assert len(take_true_labels(nothing, truth)) == 0


def test_class_oracle_changes_labels_only():
    model = build(test_cfg=dict(true_maps='instance', foreground_threshold=0.0)).eval()
    images, samples = batch('one')
    truth = samples[0].gt_instance_map
    truth.labels[:] = 2
    plain = model.predict(images, samples)[0].pred_instances
    given = model.results_from_maps(model.predict_heads(images), samples, (48, 64), replace(model.test_settings, oracle='class'))[
        0
    ].pred_instances
    meets = (given.masks & (truth.ids > 0)).flatten(1).any(dim=1)
    assert meets.any()
    assert torch.equal(given.labels, torch.where(meets, 2, plain.labels))
    assert torch.equal(given.masks, plain.masks) and torch.equal(given.scores, plain.scores)


def test_centres_of_mass_find_their_block():
    ids = torch.zeros(4, 8, dtype=torch.int64)
    ids[3, 7], ids[0:4, 4:7] = 1, 2  # centres (7, 3), in the last block, and (5, 1.5): floor(5 / 2), floor(1.5 / 2)
    blocks = torch.arange(8.0).view(1, 2, 4)
    assert probability_at_centres(InstanceMap.from_ids(ids, torch.zeros(2)), blocks, (4, 8)).tolist() == [[7.0], [2.0]]


def test_centres_on_a_coarse_map_find_the_block_of_their_pixel_in_the_image():
    ids = torch.zeros(8, 8, dtype=torch.int64)
    ids[0, 3:5] = 1  # at stride 4: columns 12 to 19 of the image, centre 15.5, of block 0 of 16; on the map 3.5 + 0.5 = 4 is block 1
    blocks = torch.arange(4.0).view(1, 2, 2)
    instances = InstanceMap.from_ids(ids, torch.zeros(1))
    assert probability_at_centres(instances, blocks, (32, 32)).tolist() == [[0.0]]
    large = InstanceMap.from_ids(ids.repeat_interleave(4, 0).repeat_interleave(4, 1), torch.zeros(1))
    assert probability_at_centres(large, blocks, (32, 32)).tolist() == [[0.0]]


def test_likely_things_without_an_instance_are_void_not_stuff():
    heads = copy.deepcopy(HEADS)
    heads['semantic'].update(num_things_classes=1, num_stuff_classes=1)
    model = build(heads=heads)
    probability = torch.tensor([0.98, 0.015, 0.005]).view(3, 1, 1).repeat(1, 2, 3)
    probability[:, :, 1] = torch.tensor([0.2, 0.7, 0.1]).view(3, 1)
    probability[:, :, 2] = torch.tensor([0.2, 0.1, 0.7]).view(3, 1)
    nothing = InstanceMap.from_ids(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(0))
    assert model._panoptic(nothing, probability, (1, 1), model.test_settings).sem_seg[0, 0].tolist() == [2, 1, 2]


def test_semantic_labels_of_true_maps_are_the_truth():
    model = build(test_cfg=dict(true_maps='semantic', semantic=True)).eval()
    images, samples = batch('one', 'overlapping')
    truths = [sample.gt_instance_map for sample in samples]
    samples[0].set_metainfo(dict(img_shape=(48, 40), ori_shape=(96, 80)))
    for sample, truth in zip(model.predict(images, samples), truths, strict=True):
        known = truth.ids >= 0
        expected = torch.cat([truth.labels.new_tensor([3]), truth.labels])[truth.ids.clamp(min=0).long()]
        found = sample.pred_sem_seg.sem_seg
        assert found.shape == (1, *sample.ori_shape[:2]) and found.dtype == torch.int64
        if sample is samples[0]:
            found, known, expected = found[:, 1::2, 1::2], known[:, :40], expected[:, :40]
        assert torch.equal(found[0][known], expected[known])


def test_settings_are_checked():
    with pytest.raises(ValueError, match='label_by'):
        build(test_cfg=dict(label_by='pixel'))
    with pytest.raises(ValueError, match=r"true_maps names \['depth'\]; the heads are \['instance', 'semantic'\]"):
        build(test_cfg=dict(true_maps=['depth']))
    for wrong in ('semantic', ('instance',), True):
        with pytest.raises(ValueError, match=r"oracle must be None, 'instance' or 'class', not .*test_cfg.true_maps"):
            build(test_cfg=dict(oracle=wrong))
    with pytest.raises(ValueError, match="lacks 'instance'; it has \\['semantic'\\]"):
        build(heads=dict(semantic=HEADS['semantic']))
    with pytest.raises(ValueError, match=r"without a head 'semantic' can't have test_cfg\.foreground_threshold=0\.5; set it to None"):
        build(heads=dict(instance=HEADS['instance']))
    with pytest.raises(ValueError, match='panoptic=True; set it to False'):
        build(heads=dict(instance=HEADS['instance']), test_cfg=dict(foreground_threshold=None, panoptic=True))


def test_without_semantics_instances_have_label_0_and_the_codecs_score():
    model = build(
        heads=dict(instance=HEADS['instance']),
        codec=dict(type='DCMECodec', unit=8.0, min_area=1, min_votes=1.0),
        test_cfg=dict(foreground_threshold=None, true_maps='instance'),
    ).eval()
    images, samples = batch('one', 'overlapping')
    truths = [sample.gt_instance_map for sample in samples]
    for sample, truth in zip(model.predict(images, samples), truths, strict=True):
        found = sample.pred_instances
        assert not found.labels.any() and found.scores.dtype == torch.float32
        for mask in truth.masks():  # background pixels near an object join it: DCME's own maps don't know the background
            assert any((one | ~mask).all() for one in found.masks)


def test_small_stuff_is_void():
    heads = copy.deepcopy(HEADS)
    heads['semantic'].update(num_things_classes=1, num_stuff_classes=2)
    model = build(heads=heads, test_cfg=dict(min_stuff_area=3))
    probability = torch.zeros(4, 2, 4)
    probability[1, :, :1], probability[2, :, 1:] = 1.0, 1.0  # two pixels of class 1, six of class 2, of which an object takes four
    objects = InstanceMap.from_ids(torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]]), torch.zeros(1))
    assert model._panoptic(objects, probability, (1, 1), model.test_settings).sem_seg[0].tolist() == [[3, 3, 1000, 1000]] * 2
    model.test_settings.min_stuff_area = 2
    assert model._panoptic(objects, probability, (1, 1), model.test_settings).sem_seg[0].tolist() == [[1, 2, 1000, 1000]] * 2


def test_panoptic_by_leading_class_where_the_codec_knows_the_background():
    heads = copy.deepcopy(HEADS)
    heads['semantic'].update(num_things_classes=2, num_stuff_classes=1)
    model = build(heads=heads, test_cfg=dict(foreground_threshold=None))
    probability = torch.tensor([[0.3, 0.4], [0.3, 0.2], [0.35, 0.35], [0.05, 0.05]]).view(4, 1, 2)
    nothing = InstanceMap.from_ids(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(0))
    assert model._panoptic(nothing, probability, (1, 1), model.test_settings).sem_seg[0, 0].tolist() == [2, 3]


@pytest.mark.parametrize('change', [dict(true_maps='semantic'), dict(oracle='instance'), dict(oracle='class')])
def test_truth_is_required_and_of_the_size_of_the_batch(change):
    model = build(test_cfg=change).eval()
    images, samples = batch('one', 'one')
    samples[1].gt_instance_map = samples[1].gt_instance_map.crop((40, 64))
    with pytest.raises(ValueError, match=r'gt_instance_map has \(40, 64\) pixels, the batch \(48, 64\); use DenseDataPreprocessor'):
        model.predict(images, samples)
    del samples[1].gt_instance_map
    with pytest.raises(ValueError, match='load annotations and GenerateInstanceMap in the test pipeline'):
        model.predict(images, samples)


def test_layer_decay_counts_the_blocks_of_a_vit_and_nothing_else():
    toy = dict(embed_dim=8, depth=2, num_heads=2)
    model = build(
        backbone=dict(type='DINOv2ViT', arch=toy, taps=(1, 2), img_size=28),
        neck=dict(type='ShallowDecoder', in_channels=[8, 8], channels=8),
        heads=dict(instance=dict(HEADS['instance'], in_index=0, in_channels=8)),
        test_cfg=dict(foreground_threshold=None),
    )
    optim = dict(
        type='OptimWrapper',
        constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
        optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
        paramwise_cfg=dict(layer_decay_rate=0.5),
    )
    groups = build_optim_wrapper(model, optim).optimizer.param_groups
    rates = {group['param_name']: group['lr'] for group in groups}
    assert set(rates) == {name for name, _ in model.named_parameters()}
    assert rates['backbone.pos_embed'] == 1 / 8 and rates['backbone.blocks.0.attn.qkv.weight'] == 1 / 4
    assert rates['backbone.blocks.1.attn.qkv.weight'] == 1 / 2 and rates['backbone.norm.weight'] == 1
    assert {rate for name, rate in rates.items() if not name.startswith('backbone.')} == {1}
    with pytest.raises(ValueError, match='layer decay needs a ViT as the backbone'):
        build_optim_wrapper(build(), optim)
