"""Training within a given wall time."""

import json
import time
from pathlib import Path

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook

from ...registry import HOOKS


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Stops training cleanly when its time is up, and keeps what came of it.

    The clock starts with the first iteration and runs through validations. An iteration-based loop stops after the iteration in
    which the time ran out, an epoch-based one after that epoch. When training ends, for whatever reason, the work directory gets
    the weights, `final.pth`, and after them `budget.json`:

        iterations, max_iters: made and planned;
        seconds: wall time of training;
        cut: whether it was this hook that ended it early;
        parameters: number of values that are trained.

    Args:
        seconds: wall time for training; None: no bound.

    Raises:
        ValueError: `seconds` isn't positive.
    """

    priority = 'VERY_LOW'

    def __init__(self, seconds: float | None = None) -> None:
        if seconds is not None and not seconds > 0:
            raise ValueError(f'TimeBudgetHook.seconds must be above 0, not {seconds}')
        self.seconds = seconds
        self._start = 0.0
        self._over = False

    def before_train(self, runner) -> None:
        """Starts the clock."""
        self._start = time.monotonic()
        self._over = False

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Looks at the clock of rank 0, so that all ranks stop together."""
        if self.seconds is None or self._over:
            return
        over = torch.tensor([int(time.monotonic() - self._start >= self.seconds)])
        broadcast(over)
        if over.item():
            self._over = True
            runner.train_loop.stop_training = True
            runner.logger.info(f'The time budget of {self.seconds:g} s is spent: training stops.')

    def after_train(self, runner) -> None:
        """Writes `final.pth` and `budget.json`."""
        seconds = time.monotonic() - self._start
        runner.save_checkpoint(runner.work_dir, 'final.pth', save_optimizer=False, save_param_scheduler=False)
        if is_main_process():
            summary = {
                'iterations': runner.iter,
                'max_iters': runner.max_iters,
                'seconds': round(seconds, 2),
                'cut': self._over and runner.iter < runner.max_iters,
                'parameters': sum(p.numel() for p in runner.model.parameters() if p.requires_grad),
            }
            partial = Path(runner.work_dir, 'budget.json.part')
            partial.write_text(json.dumps(summary))
            partial.replace(partial.with_suffix(''))
