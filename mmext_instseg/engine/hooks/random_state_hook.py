"""A resumed run draws the random numbers that the interrupted one would have drawn."""

import logging
import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log

from ...registry import HOOKS


def random_state() -> dict[str, Any]:
    """The generators of this process: Python's, NumPy's, torch's, and that of the current GPU if there is one."""
    state: dict[str, Any] = {'python': random.getstate(), 'torch': torch.get_rng_state()}
    state['numpy'] = np.random.get_state()  # noqa: NPY002 (what transforms draw from)
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Puts back what `random_state` returned, also from a checkpoint; on a machine without a GPU its state is left out."""
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])  # noqa: NPY002
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Saves the random states of all ranks in each checkpoint that can be resumed from, and restores them.

    The state is held when a checkpoint is saved or a validation begins, and put back before the next step. What is drawn in between,
    by a validation or while a run starts, therefore changes nothing: training with and without an interruption draws the same.

    The resumable loops register this hook themselves. The checkpoint gets `random_states`: `ranks`, a state a rank, and
    `sampler_seed`, without which a run without a fixed seed would go on with another order of images.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._held: dict[str, Any] | None = None
        self._gathered: list[dict[str, Any]] | None = None
        self._loaded: dict[str, Any] | None = None

    def before_train(self, runner) -> None:
        """After a resume: the seed of the sampler at once, this rank's state with the first step."""
        if self._loaded is None:
            return
        sampler: Any = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
        if hasattr(sampler, 'seed'):
            sampler.seed = self._loaded['sampler_seed']
        states, self._loaded = self._loaded['ranks'], None
        if len(states) == get_world_size():
            self._held = states[get_rank()]
        else:
            runner.logger.warning(
                f'The checkpoint is of {len(states)} processes, this run has {get_world_size()}: it goes on, but not with the same numbers.'
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Begins the step with the state that was held."""
        if self._held is not None:
            set_random_state(self._held)
            self._held = None

    def before_val(self, runner) -> None:
        """Holds the state through the validation."""
        self._held = self._held or random_state()

    def before_checkpoint(self, runner) -> None:
        """Holds the state and collects that of all ranks; a stage of ours, which every rank reaches before a checkpoint is saved."""
        self._held = self._held or random_state()
        self._gathered = all_gather_object(self._held)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """On rank 0: adds `random_states` to a checkpoint that has an optimizer."""
        if 'optimizer' in checkpoint and self._gathered is not None:
            sampler: Any = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
            checkpoint['random_states'] = {'ranks': self._gathered, 'sampler_seed': getattr(sampler, 'seed', None)}
            self._gathered = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keeps the states of a checkpoint that is resumed from."""
        if runner._resume:
            self._loaded = checkpoint.get('random_states')
            if self._loaded is None:
                print_log('The checkpoint holds no random states: the resumed run draws others.', 'current', logging.WARNING)
