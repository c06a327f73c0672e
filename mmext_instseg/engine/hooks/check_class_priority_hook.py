"""The class priority file and the data set must agree, before hours of training are spent."""

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from torch import nn

from ...models.heads import GridClassHead
from ...registry import HOOKS


@HOOKS.register_module()
class CheckClassPriorityHook(Hook):
    """Loads the class priority of every `GridClassHead` that names a file, before training, validation and testing.

    Prediction needs none: before a test a missing file is no error.

    The labels in that file are positions in its list of classes, so a file made for other classes, or for the same ones in another
    order, would train on wrong targets without a word. A model without such a head is left alone.

    Raises:
        ValueError: when the loop starts: the file is missing, or its classes aren't the data set's; names the first that differs and
            gives the command that makes the file.
    """

    def before_train(self, runner) -> None:
        dataset = runner.train_loop.dataloader.dataset
        self._check(runner.model, dataset, getattr(dataset, 'ann_file', None))

    def before_val(self, runner) -> None:
        self._check(runner.model, runner.val_loop.dataloader.dataset)

    def before_test(self, runner) -> None:
        self._check(runner.model, runner.test_loop.dataloader.dataset, required=False)

    def _check(self, model: nn.Module, dataset: Any, annotations: str | None = None, required: bool = True) -> None:
        for module in model.modules():
            if isinstance(module, GridClassHead) and (required or Path(module.priority_file or '').is_file()):
                module.load_priority(dataset.metainfo['classes'], annotations or 'TRAINING_ANNOTATIONS')
