"""`tools/benchmark.py targets`: SOLO's targets are mmdet's, else nothing is timed."""

import pytest
import torch

from mmext_instseg.engine.benchmark import target_cases, targets


def test_table_and_files(tool, tmp_path):
    words = ('--size', '64x96', '--instances', 1, 6, '--pairs', 1, '--out', tmp_path)
    status, text = tool('benchmark.py', 'targets', *words)
    assert status == 0, text
    assert {path.name for path in tmp_path.iterdir()} == {'targets.csv', 'targets.md', 'targets.png'}
    rows = (tmp_path / 'targets.csv').read_text().splitlines()
    assert len(rows) == 3 and rows[1].startswith('64x96,2,1,')


@pytest.mark.parametrize('broken', ['labels', 'masks'])
def test_different_targets_are_not_timed(tool, monkeypatch, broken):
    original = targets.gather_instances

    def changed(*args):
        found = original(*args)
        if broken == 'labels':
            found.labels = found.labels + 1
        else:
            found.masks = torch.zeros_like(found.masks)
        return found

    monkeypatch.setattr(targets, 'gather_instances', changed)
    status, _ = tool('benchmark.py', 'targets', '--size', '64x96', '--instances', 3, '--pairs', 1)
    assert 'other labels than mmdet' in status if broken == 'labels' else 'masks are others than those of mmdet' in status


def test_cases_are_equal_with_contested_cells():
    for case in target_cases((96, 128), (1, 12), 2, torch.device('cpu')):
        assert case.differs(case.ours(), case.baseline()) is None
