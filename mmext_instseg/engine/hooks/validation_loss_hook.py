"""The loss on the validation data, for early stopping."""

import copy

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ...registry import HOOKS


@HOOKS.register_module()
class ValidationLossHook(Hook):
    """Adds `val_loss`, and each of its terms as `val_<name>`, to the metrics of every validation, for `EarlyStoppingHook` and `save_best`.

    The mean over the batches of all ranks, of the network as it predicts: without dropout, with the running statistics of batch norm.
    (mmengine records a validation loss only of models that hand it over with their predictions; mmdet's don't.) It costs another
    pass through the network, and the validation pipeline must load annotations; batches are made as in training, with the preprocessor's
    `batch_augments` if it has any.
    """

    def before_val_epoch(self, runner) -> None:
        """Forgets the last validation."""
        self._sums: dict[str, torch.Tensor] = {}
        self._batches = 0

    @torch.no_grad()
    def before_val_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Adds the losses of a batch; the model sees its own copy."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        data = model.data_preprocessor(copy.deepcopy(data_batch), training=True)
        _, terms = model.parse_losses(model(**data, mode='loss'))
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()
        self._batches += 1

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Into the metrics, before the hooks that read them (those of lower priority)."""
        if metrics is None or not self._sums:
            return
        sums = torch.stack([*self._sums.values(), next(iter(self._sums.values())).new_tensor(float(self._batches))])
        all_reduce(sums)
        found = {f'val_{name}': value for name, value in zip(self._sums, (sums[:-1] / sums[-1]).tolist(), strict=True)}
        metrics.update(found)
        for name, value in found.items():
            # mmengine logs the mean of the last ten of all that has 'loss' in its name
            runner.message_hub.log_scalars.pop(f'val/{name}', None)
            runner.message_hub.update_scalar(f'val/{name}', value)
