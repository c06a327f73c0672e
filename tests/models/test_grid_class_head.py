import pytest
import torch
from head_contract import HeadContract, make_sample
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from mmext_instseg.models.heads import block_labels, touches_other
from mmext_instseg.registry import MODELS


class TestGridClassHead(HeadContract):
    config = dict(type='GridClassHead', num_things_classes=3)

    def test_classes_and_background(self, head):
        assert head.num_classes == 3 and head.project.out_channels == 4
        prob = head.predict(self.feats(5, 6))['class_prob']
        torch.testing.assert_close(prob.sum(dim=1), torch.ones(2, 5, 6))


class TestGridClassHeadWithStuffAndPriority(HeadContract):
    config = dict(type='GridClassHead', num_things_classes=3, num_stuff_classes=2, priority=(2, 0), boundary_weight=3.0)

    def test_stuff_comes_from_the_semantic_map_and_void_is_ignored(self, head):
        sample = make_sample(torch.tensor([[1, 0, 0, 0, -1]]))
        sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[4, 3, 255, 1, 4]]]))
        assert head._grid_labels(sample, (1, 5)).tolist() == [[0, 3, -100, -100, 4]]


IGNORE = -100


def test_blocks_take_the_first_class_of_the_list():
    labels = torch.tensor([[0, 0, 1, 3], [2, 0, 3, 3], [3, 3, IGNORE, IGNORE], [3, IGNORE, IGNORE, IGNORE]])
    rank = torch.tensor([1.0, 0.0, 2.0, 3.0])  # 1 before 0 before 2 before background 3
    assert block_labels(labels, (2, 2), rank, IGNORE).tolist() == [[0, 1], [3, IGNORE]]
    rank = torch.tensor([2.0, 1.0, 0.0, 3.0])
    assert block_labels(labels, (2, 2), rank, IGNORE).tolist() == [[2, 1], [3, IGNORE]]
    assert block_labels(labels, (4, 4), rank, IGNORE).equal(labels)


def test_block_borders_are_those_of_equations_2_and_3():
    labels = torch.full((32, 48), 1)
    labels[15, 31] = 0  # floor(15 / 16), floor(31 / 16)
    blocks = block_labels(labels, (2, 3), torch.tensor([0.0, 1.0]), IGNORE)
    assert blocks.tolist() == [[1, 0, 1], [1, 1, 1]]


def test_touching_by_hand():
    ids = torch.tensor([[[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]])
    assert touches_other(ids)[0].tolist() == [[False, False, True, True, False]] * 2


@pytest.mark.parametrize('priority', [(3,), (0, 0)])
def test_priority_is_checked(priority):
    with DefaultScope.overwrite_default_scope('mmdet'), pytest.raises(ValueError, match='priority'):
        MODELS.build(dict(type='GridClassHead', in_channels=8, num_things_classes=3, priority=priority))
