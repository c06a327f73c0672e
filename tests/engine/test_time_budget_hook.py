"""The hook under mmengine's two loops, with a clock that the test moves."""

import json
from types import SimpleNamespace

import pytest
import torch
from engine.toy import toy_config
from mmengine.runner import Runner

from mmext_instseg.engine import TimeBudgetHook
from mmext_instseg.engine.hooks import time_budget_hook


@pytest.fixture
def clock(monkeypatch):
    """One look at it is one second."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(time_budget_hook, 'time', SimpleNamespace(monotonic=lambda: next(seconds)))


def train(work_dir, train_cfg, seconds):
    cfg = toy_config(work_dir, train_cfg)
    runner = Runner(**cfg, custom_hooks=[dict(type='TimeBudgetHook', seconds=seconds)])
    runner.train()
    return json.loads((work_dir / 'budget.json').read_text())


def test_iteration_based_training_stops_after_the_iteration(tmp_path, clock):
    # The start is second 0; iteration n ends at second n.
    found = train(tmp_path, dict(type='IterBasedTrainLoop', max_iters=9, val_interval=100), seconds=4)
    assert found == dict(iterations=4, max_iters=9, seconds=5, cut=True, parameters=1)
    assert torch.load(tmp_path / 'final.pth', weights_only=True)['state_dict'].keys() == {'layer.weight'}


def test_epoch_based_training_stops_after_the_epoch(tmp_path, clock):
    found = train(tmp_path, dict(type='EpochBasedTrainLoop', max_epochs=4), seconds=7)
    assert (found['iterations'], found['max_iters'], found['cut']) == (10, 20, True)


def test_enough_time(tmp_path, clock):
    found = train(tmp_path, dict(type='IterBasedTrainLoop', max_iters=3, val_interval=100), seconds=100)
    assert (found['iterations'], found['cut']) == (3, False)


def test_time_up_in_the_last_iteration_is_no_cut(tmp_path, clock):
    found = train(tmp_path, dict(type='IterBasedTrainLoop', max_iters=3, val_interval=100), seconds=3)
    assert (found['iterations'], found['cut']) == (3, False)


def test_no_bound(tmp_path):
    found = train(tmp_path, dict(type='EpochBasedTrainLoop', max_epochs=1), seconds=None)
    assert (found['iterations'], found['max_iters'], found['cut']) == (5, 5, False)


@pytest.mark.parametrize('seconds', [0, -1, float('nan')])
def test_senseless_bound(seconds):
    with pytest.raises(ValueError, match='must be above 0'):
        TimeBudgetHook(seconds)
