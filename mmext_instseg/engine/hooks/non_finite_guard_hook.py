"""A loss or gradient that is NaN or infinite changes nothing, and too many of them end the run."""

from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...registry import HOOKS

SKIPS = 'non_finite_skips'  # in the message hub, which checkpoints hold


def _image_ids(data_batch: Any) -> list[Any]:
    """Ids of a batch's images as their data samples have them; the paths of the files where there are no ids."""
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [sample.get('img_id', sample.get('img_path')) for sample in samples if isinstance(sample, BaseDataElement)]


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """Leaves out each update for which the loss or a gradient isn't finite on any rank; all ranks do so together.

    Weights, optimizer state and EMA then stay as they were, and so do the model's buffers: the forward pass of a NaN spoils batch
    statistics for good, so they are put back. The iteration counts, the learning rate schedule goes on. A warning names the loss
    terms and images of each rank. With gradient accumulation what was accumulated so far is dropped too. With mixed precision only
    the loss is watched: infinite gradients are `GradScaler`'s to handle. A gradient of which the norm overflows counts as infinite.

    Costs an all-reduce and a read of one number each iteration, and a copy of the model's buffers.

    Args:
        max_skips: updates left out in the whole run before it ends; 0: none. Checkpoints keep the count, so that a resume goes on with it.

    Raises:
        ValueError: `max_skips` is negative.
        TypeError: before training: there are several optimizers.
        FloatingPointError: more than `max_skips`, on all ranks, before a checkpoint of that iteration could be saved.
    """

    priority = 'VERY_HIGH'  # buffers are back, or the run is over, before EMAHook and CheckpointHook see the iteration

    def __init__(self, max_skips: int = 10) -> None:
        if max_skips < 0:
            raise ValueError(f'NonFiniteGuardHook.max_skips must not be negative, as {max_skips} is')
        self.max_skips = max_skips
        self._skipped = False
        self._buffers: list[Tensor] = []
        self._copies: list[Tensor] = []

    def before_train(self, runner) -> None:
        """Puts the guard between the model and its optimizer, and before each EMA."""
        optim = runner.optim_wrapper
        if not isinstance(optim, OptimWrapper):
            raise TypeError(f'NonFiniteGuardHook guards one OptimWrapper, not {type(optim).__name__}')
        backward, step = optim.backward, optim.step

        def watched_backward(loss: Tensor, **kwargs: Any) -> None:
            backward(loss, **kwargs)
            if not self._all_finite(loss, optim):
                self._skipped = True
                optim.zero_grad()

        optim.backward = watched_backward
        optim.step = lambda **kwargs: None if self._skipped else step(**kwargs)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                self._guard_average(hook.ema_model)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._buffers = list(model.buffers())
        self._copies = [buffer.clone() for buffer in self._buffers]

    def _guard_average(self, average: Any) -> None:
        update = average.update_parameters
        average.update_parameters = lambda model: None if self._skipped else update(model)

    @staticmethod
    def _all_finite(loss: Tensor, optim: OptimWrapper) -> bool:
        """Whether the loss and all gradients are finite on all ranks; the one wait for the device."""
        watched = [loss.detach()]
        if not hasattr(optim, 'loss_scaler'):
            grads = [param.grad for group in optim.optimizer.param_groups for param in group['params'] if param.grad is not None]
            watched += torch._foreach_norm(grads) if grads else []  # on a CPU ten times as fast as isfinite
        finite = torch.stack([value.float() for value in watched]).isfinite().all().int()
        all_reduce(finite, 'min')
        return bool(finite.item())

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Keeps a copy of the buffers."""
        self._skipped = False
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """If the update was left out: puts the buffers back, warns, and raises if there were too many."""
        if not self._skipped:
            return
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._copies)
        skips = runner.message_hub.get_info(SKIPS, 0) + 1
        runner.message_hub.update_info(SKIPS, skips)
        terms = [name for name, value in (outputs or {}).items() if isinstance(value, Tensor) and not value.isfinite().all()]
        mine = f'rank {get_rank()}: {", ".join(terms) or "no loss term"}, images {_image_ids(data_batch)}'
        found = f'Not finite in iteration {runner.iter + 1}: {"; ".join(all_gather_object(mine))}.'
        if skips > self.max_skips:
            raise FloatingPointError(
                f'{found} That makes {skips} left out in this run, above max_skips={self.max_skips}. The last checkpoint is sound: '
                'look at these images, or lower the learning rate, and go on with --resume and a higher max_skips.'
            )
        runner.logger.warning(f'{found} The update is left out: {skips} in this run, at most {self.max_skips}.')
