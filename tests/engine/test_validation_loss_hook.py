"""On the smallest thing that mmengine trains, whose losses can be computed by hand."""

import json
from pathlib import Path

import pytest
import torch
from engine.toy import toy_config
from mmengine.hooks import Hook
from mmengine.runner import Runner


class SetWeight(Hook):
    """Puts a weight into the line before each validation: 1, 1.9, 1.5, 1.5, ..."""

    weights = (1.0, 1.9, 1.5)

    def before_val_epoch(self, runner) -> None:
        runner.model.layer.weight.data.fill_(self.weights[min(runner.epoch, 3) - 1])


def run(folder: Path, epochs: int = 3, **kwargs) -> Runner:
    config = toy_config(folder, dict(type='EpochBasedTrainLoop', max_epochs=epochs))
    config['optim_wrapper']['optimizer']['lr'] = 0.0
    kwargs.setdefault('custom_hooks', [dict(type='ValidationLossHook')])
    runner = Runner(**config, **kwargs)
    runner.register_hook(SetWeight())
    runner.train()
    return runner


def expected(weight: float) -> float:
    """Batches (0, 1), (2, 3), ..: the mean over batches of the mean of (w x - 2 x)^2, which is that of all ten numbers."""
    return (weight - 2) ** 2 * sum(x * x for x in range(10)) / 10


def logged(runner: Runner) -> list[dict]:
    (path,) = Path(runner.work_dir).glob('*/vis_data/scalars.json')
    return [row for row in map(json.loads, path.read_text().splitlines()) if 'toy' in row]


def test_loss_of_each_validation(tmp_path):
    rows = logged(run(tmp_path))
    assert [row['val_loss'] for row in rows] == pytest.approx([expected(weight) for weight in SetWeight.weights], rel=1e-5)
    assert all(row['toy'] == 0.5 for row in rows)


def test_early_stopping_and_the_best_weights(tmp_path):
    hooks = [
        dict(type='ValidationLossHook'),
        dict(type='EarlyStoppingHook', monitor='val_loss', rule='less', min_delta=1e-5, patience=2),
        dict(type='RestoreBestHook'),
        dict(type='TimeBudgetHook'),
    ]
    best = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='val_loss', rule='less'))
    runner = run(tmp_path, epochs=9, custom_hooks=hooks, default_hooks=best)
    assert runner.epoch == 4, 'two validations without improvement after the second'
    assert runner.model.layer.weight.item() == pytest.approx(1.9)
    assert torch.load(tmp_path / 'final.pth', weights_only=True)['state_dict']['layer.weight'].item() == pytest.approx(1.9)


def test_nothing_to_restore(tmp_path):
    runner = run(tmp_path, epochs=1, custom_hooks=[dict(type='RestoreBestHook')])
    assert runner.model.layer.weight.item() == 1.0
    assert 'save_best' in next(tmp_path.glob('*/*.log')).read_text()
