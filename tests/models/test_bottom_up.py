import copy

import pytest
import torch
from head_contract import make_sample, scene
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

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
def test_both_oracles_give_the_truth_back(label_by):
    model = build(test_cfg=dict(oracle=('semantic', 'instance'), label_by=label_by)).eval()
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
    model = build(test_cfg=dict(oracle=('semantic', 'instance'))).eval()
    pred = model.predict(*batch('none'))[0].pred_instances
    assert (pred.bboxes.shape, pred.labels.shape, pred.scores.shape, pred.masks.shape) == ((0, 4), (0,), (0,), (0, 48, 64))
    assert (pred.bboxes.dtype, pred.labels.dtype, pred.scores.dtype, pred.masks.dtype) == (
        torch.float32,
        torch.int64,
        torch.float32,
        torch.bool,
    )


def test_padding_is_cut_and_results_have_the_original_size():
    model = build(test_cfg=dict(oracle=('semantic', 'instance'))).eval()
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


def test_score_is_concentration_times_class_probability():
    model = build()
    model.test_settings.max_per_image = 2
    ids = torch.tensor([[1, 1, 2, 3]])
    groups = InstanceMap.from_ids(ids, torch.zeros(3), scores=torch.tensor([0.5, 1.0, 1.0]))
    probability = torch.tensor([[[0.8, 0.4, 0.1, 0.2]], [[0.2, 0.4, 0.7, 0.3]], [[0.0, 0.0, 0.1, 0.1]]])
    found = model._classify(groups, probability)
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
    assert model._classify(groups, probability).labels.tolist() == [2]


def test_panoptic_results():
    heads = copy.deepcopy(HEADS)
    heads['semantic'].update(num_stuff_classes=2)
    model = build(heads=heads, test_cfg=dict(oracle=('semantic', 'instance'), panoptic=True)).eval()
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


def test_settings_are_checked():
    with pytest.raises(ValueError, match='label_by'):
        build(test_cfg=dict(label_by='pixel'))
    with pytest.raises(ValueError, match=r"oracle names \['depth'\]"):
        build(test_cfg=dict(oracle=['depth']))
    with pytest.raises(ValueError, match="lacks \\['semantic'\\]"):
        build(heads=dict(instance=HEADS['instance']))
    model = build(test_cfg=dict(oracle='semantic')).eval()
    with pytest.raises(ValueError, match='ground truth'):
        model.predict(torch.randn(1, 3, 32, 32), [DetDataSample(metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32)))])
