"""The best weights back at the end of training."""

from mmengine.hooks import Hook
from mmengine.runner import load_checkpoint

from ...registry import HOOKS


@HOOKS.register_module()
class RestoreBestHook(Hook):
    """Ends training with the weights that `CheckpointHook(save_best=...)` found best, as after Keras' EarlyStopping.

    The model in memory gets them, and what is written after training, such as `TimeBudgetHook`'s final.pth. Files stay as they are.
    """

    priority = 'LOW'  # before what is written at the end

    def after_train(self, runner) -> None:
        """Loads the best checkpoint, if there is one."""
        best = runner.message_hub.get_info('best_ckpt') if 'best_ckpt' in runner.message_hub.runtime_info else None
        if best is None:
            runner.logger.warning("RestoreBestHook: there is no best checkpoint; set default_hooks.checkpoint.save_best, as 'val_loss'")
            return
        load_checkpoint(runner.model, best, map_location='cpu', strict=True)
        runner.logger.info(f'The best weights are back: {best}')
