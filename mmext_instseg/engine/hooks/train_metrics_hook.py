"""The validation's metrics on the training data as well, for curves of both."""

import copy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import autocast

from ...registry import HOOKS


@HOOKS.register_module()
class TrainMetricsHook(Hook):
    """Adds `train/<metric>` to the metrics of every validation: the network as it predicts then, on the training data.

    So logs hold both sides of embedding_unet_dbscan's Figure 2 and Table 1; tools/plot_log.py draws them. Each validation takes another
    pass over these data.

    Args:
        evaluator: metrics, as `val_evaluator`. Those that read a file of annotations need the training data's.
        dataloader: the data, as `val_dataloader`; None: `train_dataloader.dataset` with the pipeline of `val_dataloader`, in its batches,
            unfiltered.

    Raises:
        ValueError: when training starts: without `dataloader`, where the config's data sets are wrapped in others or absent.
    """

    priority = 'HIGHEST'  # before metrics are logged and an average of the weights makes way for the weights

    def __init__(self, evaluator: dict | list, dataloader: dict | None = None) -> None:
        self.evaluator = evaluator
        self.dataloader = dataloader
        self._data: Any = None

    def before_train(self, runner) -> None:
        """Builds data and metrics."""
        self._data = runner.build_dataloader(self.dataloader or train_as_val(runner.cfg), seed=runner.seed)
        self._evaluator = runner.build_evaluator(self.evaluator)
        self._evaluator.dataset_meta = getattr(self._data.dataset, 'metainfo', None)

    @torch.no_grad()
    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Into the metrics; a validation without training has none of these."""
        if metrics is None or self._data is None:
            return
        for batch in self._data:
            with autocast(enabled=runner.val_loop.fp16):
                found = runner.model.val_step(batch)
            self._evaluator.process(data_samples=found, data_batch=batch)
        metrics.update({f'train/{name}': value for name, value in self._evaluator.evaluate(len(self._data.dataset)).items()})


def train_as_val(cfg: Config) -> dict:
    """A config's training data set, loaded as its validation data are; `cfg` stays as it is.

    Raises:
        ValueError: a data set is absent or has no pipeline of its own.
    """
    train, val = (copy.deepcopy(cfg.get(name) or {}) for name in ('train_dataloader', 'val_dataloader'))
    for name, loader in (('train_dataloader', train), ('val_dataloader', val)):
        if 'pipeline' not in loader.get('dataset', {}):
            raise ValueError(f"TrainMetricsHook: the config's {name}.dataset has no pipeline of its own; give TrainMetricsHook.dataloader")
    val['dataset'] = {**train['dataset'], 'pipeline': val['dataset']['pipeline'], 'test_mode': True}
    return val
