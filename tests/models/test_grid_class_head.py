import json

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
    assert block_labels(labels, (2, 2), rank, IGNORE).tolist() == [[0, 1], [IGNORE, IGNORE]]  # a crowd beside background isn't background
    rank = torch.tensor([2.0, 1.0, 0.0, 3.0])
    assert block_labels(labels, (2, 2), rank, IGNORE).tolist() == [[2, 1], [IGNORE, IGNORE]]
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


@pytest.fixture
def priority_file(tmp_path):
    """Writes the file, and gives its path."""
    path = tmp_path / 'class priority.json'

    def write(classes=('cat', 'dog', 'cow'), priority=('cow', 'cat', 'dog'), **changed):
        path.write_text(json.dumps({'classes': classes, 'instances': [5, 5, 2], 'priority': priority, **changed}))
        return path

    return write


def build_head(path, **options):
    return MODELS.build(dict(type='GridClassHead', in_channels=8, num_things_classes=3, num_stuff_classes=1, priority=str(path), **options))


# Labels in one block of 1 x 4 pixels, and who wins by cow 2 < cat 0 < dog 1 < stuff 3 < background 4.
BLOCKS = [([2, 1, 0, 0], 2), ([1, 1, 0, 4], 0), ([1, 3, 4, 4], 1), ([4, 4, 4, 4], 4)]


@pytest.mark.parametrize('when', ['lazily', 'at the start'])
def test_priority_from_a_file(priority_file, when):
    head = build_head(priority_file())
    assert head.priority.tolist() == [0, 1, 2, 3, 4]
    if when == 'at the start':
        head.load_priority(('cat', 'dog', 'cow', 'grass'))
    else:
        head.eval()
    for labels, winner in BLOCKS:
        present = [label for label in dict.fromkeys(labels) if label < 3]
        ids = torch.tensor([[present.index(label) + 1 if label < 3 else 0 for label in labels]])
        sample = make_sample(ids)
        sample.gt_instance_map.labels = torch.tensor(present, dtype=torch.int64)
        if 3 in labels:
            sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[3 if label == 3 else 255 for label in labels]]]))
        assert head._grid_labels(sample, (1, 1)).item() == winner
    assert head.priority.tolist() == [1, 2, 0, 3, 4]


def test_prediction_needs_no_file(tmp_path):
    head = build_head(tmp_path / 'none.json')
    assert head.predict((torch.zeros(1, 8, 2, 2),))['class_prob'].shape == (1, 5, 2, 2)
    with pytest.raises(ValueError, match=r'none.json: no class priority to be read there \(No such file or directory\); make it with'):
        head.eval().ideal_maps([make_sample(torch.zeros(2, 2, dtype=torch.int64))], (2, 2))


def test_training_needs_the_classes_compared(priority_file):
    head = build_head(priority_file())
    with pytest.raises(ValueError, match=r"class priority.json isn't compared with the data set's classes; add CheckClassPriorityHook"):
        head.loss((torch.zeros(2, 8, 2, 2),), [make_sample(torch.zeros(2, 2, dtype=torch.int64))] * 2)


def test_the_command_is_ready_to_copy(tmp_path):
    with pytest.raises(ValueError, match='make it with') as caught:
        build_head(tmp_path / 'a b.json').load_priority(('cat', 'traffic light', 'cow', 'grass'), 'train.json')
    command = str(caught.value).splitlines()[-1].strip()
    assert command == f"python tools/class_priority.py train.json --out '{tmp_path}/a b.json' --classes cat 'traffic light' cow"


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(classes=['cat', 'cow', 'dog']), "class 1 is 'cow' there and 'dog' in the data set"),
        (dict(classes=['cat', 'dog', 'sheep'], priority=['sheep', 'cat', 'dog']), "class 2 is 'sheep' there and 'cow' in the data set"),
        (dict(classes=['cat', 'dog'], priority=['dog', 'cat']), 'class 2 is None there'),
        (dict(classes=['cat', 'dog', 'cow', 'hen'], priority=['hen', 'cat', 'dog', 'cow']), "class 3 is 'hen' there and None in the data"),
        (dict(priority=['cow', 'cat']), "'priority' must name each of 'classes' once"),
        (dict(priority=['cow', 'cat', 'cat']), "'priority' must name each of 'classes' once"),
        (dict(priority=['cow', 'cat', 'hen']), 'not a class priority'),
        (dict(classes=3), 'not a class priority'),
    ],
)
def test_files_of_other_classes(priority_file, content, message):
    path = priority_file(**content)
    head = build_head(path)
    with pytest.raises(ValueError, match=message) as caught:
        head.load_priority(('cat', 'dog', 'cow', 'grass'))
    assert str(caught.value).startswith(f'{path}: ')
    assert '--classes cat dog cow' in str(caught.value)
    assert head.priority.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('text', ['', '[]', '{"classes": ["cat"]}', '{'])
def test_files_of_another_kind(tmp_path, text):
    (tmp_path / 'list.json').write_text(text)
    with pytest.raises(ValueError, match=r'list.json: not a class priority'):
        build_head(tmp_path / 'list.json').load_priority()


def test_file_with_another_number_of_classes(priority_file):
    path = priority_file(classes=['cat', 'dog'], priority=['dog', 'cat'])
    with pytest.raises(ValueError, match='2 classes, GridClassHead has num_things_classes=3'):
        build_head(path).load_priority()
