"""Steps that take their time, so that a signal meets a training."""

import time

from mmengine.hooks import Hook

from mmext_instseg.registry import HOOKS


@HOOKS.register_module()
class SlowHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        time.sleep(0.2)
