"""A run that is told to end saves its work first."""

import os
import signal
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop

from ...compat import data_workers
from ...compat.durable_files import point_to
from ...registry import HOOKS

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """At SIGTERM or SIGUSR1 to any rank, all ranks end after the step they are in: a checkpoint is saved, and the process exits.

    The checkpoint is `preempted.pth` in the work directory, one file that a later one replaces, and `last_checkpoint` names it, so
    `--resume` goes on from there; in the middle of an epoch with `ResumableEpochBasedTrainLoop`. With gradient accumulation the step
    is the one that updates the weights. A signal during validation is heeded after the next step.

    mmengine's `EpochBasedTrainLoop`, which resumes at the beginning of an epoch only, isn't stopped within one: a warning says so when
    training starts, and a run that is told to end does so after the epoch and its validation; after the last one as it would anyway.

    Costs one all-reduce of a number a step where there are several ranks, nothing otherwise. From the hook's construction on, the data
    workers that this process starts leave both signals alone, those of any loader.

    Args:
        exit_code: of the process, to tell "saved, run me again" from an error. 75 is the system's EX_TEMPFAIL; 143 isn't taken, since
            a process that SIGTERM killed before it could save ends with it too.

    Raises:
        ValueError: `exit_code` isn't from 1 to 255, or training runs in another than the main thread, which gets no signals.
    """

    priority = 'LOWEST'  # the step is done, and what CheckpointHook saves is saved

    def __init__(self, exit_code: int = os.EX_TEMPFAIL) -> None:
        if not 1 <= exit_code <= 255:
            raise ValueError(f'PreemptionHook.exit_code must be from 1 to 255, not {exit_code}')
        self.exit_code = exit_code
        self._told = False
        self._handlers: dict[int, Any] = {}
        self._whole_epochs = False
        data_workers.apply()  # here, since mmengine's IterBasedTrainLoop starts workers when it is built

    def before_train(self, runner) -> None:
        """Listens to the signals, in place of who did before."""
        self._told = False
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        self._whole_epochs = _begins_epochs_anew(runner.train_loop)
        if self._whole_epochs:
            runner.logger.warning(
                f'PreemptionHook: {type(runner.train_loop).__name__} cannot resume within an epoch, so a run that is told to end does so '
                'only at the end of an epoch: ResumableEpochBasedTrainLoop as train_cfg.type ends it after a step.'
            )

    def after_train(self, runner) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, *_: Any) -> None:
        self._told = True

    def before_train_epoch(self, runner) -> None:
        """Of a loop that resumes here only: asks all ranks whether one was told to end.

        Raises:
            SystemExit: as `after_train_iter`.
        """
        if self._whole_epochs:
            self._end_if_told(runner, runner.iter)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Asks all ranks whether one was told to end.

        Raises:
            SystemExit: with `exit_code`, on all ranks, once the checkpoint is saved.
        """
        accumulating = isinstance(runner.optim_wrapper, OptimWrapper) and not runner.optim_wrapper.should_update()
        if not self._whole_epochs and not accumulating:
            self._end_if_told(runner, runner.iter + 1)

    def _end_if_told(self, runner, iteration: int) -> None:
        told = torch.tensor(int(self._told))
        all_reduce(told, 'max')
        if not told.item():
            return
        runner.logger.warning(f'Told to end: saving preempted.pth at iteration {iteration}, to go on from with --resume.')
        runner.call_hook('before_checkpoint')
        runner.save_checkpoint(runner.work_dir, 'preempted.pth', meta=dict(epoch=runner.epoch, iter=iteration))
        if is_main_process():
            point_to(runner.work_dir, os.path.join(runner.work_dir, 'preempted.pth'))
        barrier()  # a launcher kills the others when the first one ends
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a launcher signals those still ending, when Python has taken its handlers back
        raise SystemExit(self.exit_code)


def _begins_epochs_anew(loop: Any) -> bool:
    from ..loops import ResumableEpochBasedTrainLoop  # it imports this package

    return isinstance(loop, EpochBasedTrainLoop) and not isinstance(loop, ResumableEpochBasedTrainLoop)
