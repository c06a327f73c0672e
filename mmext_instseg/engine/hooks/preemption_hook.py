"""A run that is told to end saves its work first."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper

from ...compat.durable_files import point_to
from ...registry import HOOKS

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def _spare_worker(init: Callable[[int], None] | None, worker: int) -> None:
    """A scheduler signals the data workers too, and without them the step can't be ended: they heed their parent's SIGTERM alone."""
    if hasattr(signal, 'sigwaitinfo'):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if init is not None:
        init(worker)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """At SIGTERM or SIGUSR1 to any rank, all ranks end after the step they are in: a checkpoint is saved, and the process exits.

    The checkpoint is `preempted.pth` in the work directory, one file that a later one replaces, and `last_checkpoint` names it, so
    `--resume` goes on from there; in the middle of an epoch with `ResumableEpochBasedTrainLoop`. With gradient accumulation the step
    is the one that updates the weights. A signal during validation is heeded after the next step.

    Costs one all-reduce of a number a step where there are several ranks, nothing otherwise.

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

    def before_train(self, runner) -> None:
        """Listens to the signals, in place of who did before."""
        self._told = False
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        loops = [loop for loop in (runner.train_loop, runner.val_loop) if loop is not None]
        for loader in (loop.dataloader for loop in loops):
            loader.worker_init_fn = partial(_spare_worker, loader.worker_init_fn)

    def after_train(self, runner) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, *_: Any) -> None:
        self._told = True

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Asks all ranks whether one was told to end.

        Raises:
            SystemExit: with `exit_code`, on all ranks, once the checkpoint is saved.
        """
        if isinstance(runner.optim_wrapper, OptimWrapper) and not runner.optim_wrapper.should_update():
            return
        told = torch.tensor(int(self._told))
        all_reduce(told, 'max')
        if not told.item():
            return
        runner.logger.warning(f'Told to end: saving preempted.pth at iteration {runner.iter + 1}, to go on from with --resume.')
        runner.call_hook('before_checkpoint')
        runner.save_checkpoint(runner.work_dir, 'preempted.pth', by_epoch=False)
        if is_main_process():
            point_to(runner.work_dir, os.path.join(runner.work_dir, 'preempted.pth'))
        barrier()  # a launcher kills the others when the first one ends
        raise SystemExit(self.exit_code)
