import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmext_instseg.structures import InstanceMap, from_panoptic_seg, from_pred_instances, to_panoptic_seg, to_pred_instances, to_rle


def random_map(num: int, shape: tuple[int, int] = (19, 26), num_labels: int = 5) -> InstanceMap:
    generator = torch.Generator().manual_seed(num)
    ids = torch.randint(-1, num + 1, shape, generator=generator)
    labels = torch.randint(0, num_labels, (num,), generator=generator)
    return InstanceMap.from_ids(ids, labels, torch.rand(num, generator=generator))


@pytest.mark.parametrize('num', [0, 1, 7, 600])
def test_rle_decodes_to_the_masks(num):
    instances = random_map(num)
    rles = to_rle(instances)
    assert len(rles) == num
    for rle, mask in zip(rles, instances.masks(), strict=True):
        assert np.array_equal(coco_mask.decode(rle), mask.numpy())
        assert rle['counts'] == coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))['counts']


@pytest.mark.parametrize('rle', [False, True])
@pytest.mark.parametrize('num', [0, 5, 600])
def test_pred_instances_and_back(num, rle):
    instances = random_map(num)
    pred = to_pred_instances(instances, rle)
    assert pred.bboxes.shape == (num, 4) and pred.bboxes.dtype == torch.float32
    assert pred.labels.dtype == torch.int64 and pred.scores.dtype == torch.float32 and len(pred.masks) == num
    if not rle:
        assert pred.masks.shape == (num, *instances.shape) and pred.masks.dtype == torch.bool
    back = from_pred_instances(pred, instances.shape)
    assert torch.equal(back.ids, instances.ids.clamp(min=0)) and torch.equal(back.labels, instances.labels)


def test_boxes_are_those_of_the_masks():
    instances = InstanceMap.from_ids(torch.tensor([[0, 1, 1], [0, 0, 1]]), torch.tensor([3]))
    pred = to_pred_instances(instances)
    assert pred.bboxes.tolist() == [[1, 0, 3, 2]] and pred.scores.tolist() == [1]


def test_higher_score_on_top():
    pred = to_pred_instances(InstanceMap.from_ids(torch.tensor([[1, 2]]), torch.tensor([0, 1]), torch.tensor([0.2, 0.9])))
    pred.masks = torch.ones(2, 1, 2, dtype=torch.bool)
    assert from_pred_instances(pred, (1, 2)).ids.tolist() == [[2, 2]]


@pytest.mark.parametrize(('num_classes', 'offset'), [(8, 1000), (1203, 100_000)])
def test_panoptic_round_trip(num_classes, offset):
    instances, stuff = random_map(30), torch.randint(5, num_classes + 1, (19, 26), generator=torch.Generator().manual_seed(0))
    panoptic = to_panoptic_seg(instances, stuff, num_classes, offset)
    assert panoptic.sem_seg.shape == (1, 19, 26) and panoptic.sem_seg.dtype == torch.int64
    things, rest = from_panoptic_seg(panoptic, 5, num_classes, offset)
    assert torch.equal(things.masks().sum(0) > 0, instances.ids > 0) and len(things) == 30
    same = things.label_map(background=-1, ignore=-2)
    assert torch.equal(same, instances.label_map(background=-1, ignore=-1))
    assert torch.equal(rest, torch.where(instances.ids > 0, num_classes, stuff))


def test_panoptic_by_hand_and_too_many_classes():
    instances = InstanceMap.from_ids(torch.tensor([[1, 2, 0]]), torch.tensor([4, 4]))
    panoptic = to_panoptic_seg(instances, torch.tensor([[5, 5, 6]]), num_classes=6)
    assert panoptic.sem_seg.tolist() == [[[1004, 2004, 6]]]
    with pytest.raises(ValueError, match='1203 classes'):
        to_panoptic_seg(instances, torch.zeros(1, 3), num_classes=1203)
