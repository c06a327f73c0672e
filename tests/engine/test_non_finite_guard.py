"""Bad numbers change nothing that is trained, whichever rank they come up on, and end the run when they don't stop."""

import os
import re
from itertools import pairwise

import pytest
import torch
from engine.interrupted import NoisyNet, checkpoint, config, start, train
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmext_instseg.engine import NonFiniteGuardHook
from mmext_instseg.registry import HOOKS, MODELS

LOOP = dict(type='ResumableIterBasedTrainLoop', max_iters=6, val_interval=100)


@MODELS.register_module()
class PoisonedNet(NoisyNet):
    """In given steps on one rank an input is `value`, and with it batch statistics and both losses; or the gradient alone is NaN."""

    def __init__(self, steps, rank=0, value=float('nan'), gradient_only=False):
        super().__init__()
        self.steps, self.rank, self.value, self.gradient_only = steps, rank, value, gradient_only
        self.calls = 0

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.calls += mode == 'loss'
        bad = mode == 'loss' and self.calls in self.steps and int(os.environ.get('RANK', 0)) == self.rank
        if bad and not self.gradient_only:
            inputs = [inputs[0] * self.value, *inputs[1:]]
        losses = super().forward(inputs, data_samples, mode)
        if bad and self.gradient_only:
            losses['loss_root'] = (0 * self.layers[0].weight).sum().sqrt()  # 0, its gradient 0 * inf
        return losses


STATES = []


@HOOKS.register_module()
class KeepStates(Hook):
    """Adds to `STATES`, after each step, everything that a left-out update must not change."""

    priority = 'LOWEST'

    def before_train(self, runner):
        STATES.clear()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        ema = next(hook.ema_model for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
        parts = (runner.model.state_dict(), ema.state_dict(), runner.optim_wrapper.state_dict()['state'])
        STATES.append([tensor.clone() for tensor in torch.utils._pytree.tree_leaves(parts)])


def run(work_dir, hooks=(), **model):
    cfg = config(work_dir, LOOP, [*hooks, dict(type='KeepStates')], randomness=dict(seed=0))
    cfg.update(model=dict(type='PoisonedNet', **model))
    cfg['default_hooks']['checkpoint']['interval'] = 2
    return cfg


def same(one, other):
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


GUARD = dict(type='NonFiniteGuardHook', max_skips=1)


@pytest.mark.parametrize('bad', [dict(), dict(value=float('inf')), dict(gradient_only=True)], ids=['nan', 'inf', 'gradient'])
def test_nothing_changes_in_a_bad_step(tmp_path, bad):
    runner = Runner(**run(tmp_path, [dict(GUARD, max_skips=2)], steps=[3, 5], **bad))
    runner.train()
    assert [same(*pair) for pair in pairwise(STATES)] == [False, True, False, True, False]
    assert all(tensor.isfinite().all() for tensor in STATES[-1])


def test_without_the_guard_all_is_lost(tmp_path):
    runner = Runner(**run(tmp_path, steps=[3]))
    runner.train()
    assert not next(runner.model.parameters()).isfinite().all()
    assert not runner.model.layers[1].running_mean.isfinite().all()


@pytest.mark.parametrize(('steps', 'last', 'sound'), [((3, 4, 5), 4, 2), ((2, 5), 5, 4)], ids=['in a row', 'now and then'])
def test_too_many_end_the_run(tmp_path, steps, last, sound):
    cfg = run(tmp_path, [GUARD], steps=steps)
    names = r'rank 0: loss, loss_square, loss_size, images \[1\d\d, 1\d\d\]\.'
    expected = rf'iteration {last}: {names} .* 2 left out in this run, above max_skips=1'
    with pytest.raises(FloatingPointError, match=expected):
        Runner(**cfg).train()
    saved = checkpoint(tmp_path)
    assert saved['meta']['iter'] == sound
    assert all(value.isfinite().all() for value in saved['state_dict'].values())


def test_what_was_left_out_before_a_resume_counts(tmp_path):
    cfg = run(tmp_path, [GUARD], steps=[2])
    Runner(**dict(cfg, train_cfg=dict(LOOP, max_iters=4))).train()
    again = run(tmp_path, [GUARD], steps=[1])
    with pytest.raises(FloatingPointError, match=r'iteration 5: .* 2 left out in this run, above max_skips=1'):
        Runner(**again, resume=True).train()


def train_and_tell(cfg, rank, *rest):
    """Trains, and writes the states after each step, and the error that ended it."""
    message = ''
    try:
        train(cfg, rank, *rest)
    except FloatingPointError as error:
        message = str(error)
    torch.save((STATES, message), f'{cfg["work_dir"]}/told_{rank}.pth')


@pytest.mark.timeout(120)
def test_both_ranks_leave_out_what_is_bad_on_one(tmp_path):
    cfg = run(tmp_path, [dict(GUARD, max_skips=2)], steps=[2, 4, 5], rank=1)
    assert start(dict(cfg, launcher='pytorch'), ranks=2, target=train_and_tell) == [0, 0]
    (first, message), (second, other) = (torch.load(tmp_path / f'told_{rank}.pth') for rank in range(2))
    assert [same(*pair) for pair in pairwise(first)] == [True, False, True]
    parameters = slice(0, 4)  # batch statistics are each rank's own
    assert all(same(one[parameters], two[parameters]) for one, two in zip(first, second, strict=True))
    assert message == other
    assert re.search(
        r'rank 0: no loss term, images \[1\d\d, 1\d\d\]; rank 1: loss, loss_square, loss_size, images \[1\d\d, 1\d\d\]', message
    )


def test_what_was_accumulated_before_a_bad_step_is_dropped(tmp_path):
    cfg = run(tmp_path, [GUARD], steps=[4])
    cfg['optim_wrapper']['accumulative_counts'] = 2
    Runner(**cfg).train()
    assert [same(one[:4], two[:4]) for one, two in pairwise(STATES)] == [False, True, True, True, False]  # due in steps 2, 4 and 6
    assert same(STATES[2], STATES[3])


def test_infinite_gradients_are_left_to_a_gradient_scaler():
    weight = torch.nn.Parameter(torch.ones(2))
    optim = OptimWrapper(torch.optim.SGD([weight], lr=1))
    weight.grad = torch.tensor([1.0, float('inf')])
    good, bad = torch.tensor(1.0), torch.tensor(float('nan'))
    assert not NonFiniteGuardHook._all_finite(good, optim)
    optim.loss_scaler = object()  # as AmpOptimWrapper has, which itself wants a GPU
    assert NonFiniteGuardHook._all_finite(good, optim)
    assert not NonFiniteGuardHook._all_finite(bad, optim)


def test_bad_settings():
    with pytest.raises(ValueError, match='max_skips must not be negative, as -1 is'):
        NonFiniteGuardHook(-1)
