"""mmengine's two train loops, which go on after a resume where the run was interrupted."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from ...registry import LOOPS
from .resumable_data import ResumableData


@LOOPS.register_module()
class ResumableEpochBasedTrainLoop(EpochBasedTrainLoop, ResumableData):
    """mmengine's `EpochBasedTrainLoop`, which also resumes in the middle of an epoch.

    Images before that place are not loaded. On the CPU the weights are those of a run without interruption, bit for bit, with any
    number of workers; the arguments are mmengine's.
    """

    endless = False

    def run(self):
        """Launches training."""
        self._done = self._iter - self._epoch * len(self.dataloader)
        if not 0 <= self._done <= len(self.dataloader):
            self.runner.logger.warning(
                f'Iteration {self._iter} is not in epoch {self._epoch + 1} of {len(self.dataloader)} batches: data set, batch size or '
                'number of processes are not those of the checkpoint. That epoch begins anew.'
            )
            self._done = 0
        return super().run()

    def run_epoch(self) -> None:
        """Iterates over what is left of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataloader.place.start_at(self._done, self._iter, self.runner.seed)
        for index, data_batch in enumerate(self.dataloader, self._done):
            self.run_iter(index, data_batch)
        self._done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(IterBasedTrainLoop, ResumableData):
    """mmengine's `IterBasedTrainLoop`, which on resume doesn't load the images of earlier iterations again.

    On the CPU the weights are those of a run without interruption, bit for bit, with any number of workers. A sampler that ends is
    begun anew with its next epoch, without a pause; the arguments are mmengine's.
    """

    endless = True

    def run(self):
        """Launches training; mmengine's own `run`, less its loading of what is skipped."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.dataloader.place.start_at(self._iter, self._iter, self.runner.seed)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
            if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model
