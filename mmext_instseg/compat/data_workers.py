"""Data workers that outlive the signals a scheduler sends to all processes of a job.

torch's workers die of SIGTERM and SIGUSR1, and the training process then raises `DataLoader worker is killed by signal` in the middle of
its step, whatever it does with these signals itself. Here every worker is born with them blocked and heeds its parent's SIGTERM alone.

Unlike the other cures this one waits to be asked for, by `PreemptionHook`: a process that a worker starts inherits the blocked signals.

Upstream: as far as we know not reported; `DataLoader` is made so on purpose. Goes when its workers can be told to leave signals alone.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from functools import partial, wraps
from multiprocessing import resource_tracker
from typing import Any

from torch.utils.data import DataLoader

# Without sigwaitinfo, as on macOS, it can't be told whose SIGTERM it is.
SPARED = {signal.SIGTERM, signal.SIGUSR1} if hasattr(signal, 'sigwaitinfo') else {signal.SIGUSR1}


def _end_with(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _begin(init: Callable[[int], None] | None, worker: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SPARED)  # a fork server may be older than `apply`
    parent = multiprocessing.parent_process()  # not os.getppid(), which may be that server
    if signal.SIGTERM in SPARED and parent is not None:
        threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()
    if init is not None:
        init(worker)


def _sparing(start: Callable[[DataLoader], Any]) -> Callable[[DataLoader], Any]:
    """`start`, which makes a loader's iterator and with it the workers; they inherit what this process blocks meanwhile."""

    @wraps(start)
    def wrapped(loader: DataLoader) -> Any:
        context: Any = loader.multiprocessing_context or multiprocessing
        if loader.num_workers and context.get_start_method() != 'fork':
            resource_tracker.ensure_running()  # when it starts, within the first worker's start, it unblocks SIGTERM
        init = loader.worker_init_fn
        loader.worker_init_fn = partial(_begin, init)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SPARED)
        try:
            return start(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            loader.worker_init_fn = init

    return wrapped


def apply() -> None:
    """Spares the workers of every loader that this process starts from now on; a second call changes nothing."""
    if not hasattr(DataLoader._get_iterator, '__wrapped__'):
        loader: Any = DataLoader
        loader._get_iterator = _sparing(loader._get_iterator)  # where all workers are started, whoever built the loader
