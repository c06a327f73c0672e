"""mmengine's two train loops, which go on after a resume where the run was interrupted."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from ...registry import LOOPS
from .resumable_data import ResumableData

VALIDATED = 'validated_iteration'  # in the message hub, which checkpoints hold


def validate_if_due(loop: EpochBasedTrainLoop | IterBasedTrainLoop, place: int, end: int) -> None:
    """Validates if that is due after `place` of `end` epochs or iterations."""
    due = place >= loop.val_begin and (place % loop.val_interval == 0 or place == end)
    if loop.runner.val_loop is not None and due:
        loop.runner.message_hub.update_info(VALIDATED, loop.iter)
        loop.runner.val_loop.run()


def saved_before_validation(loop: EpochBasedTrainLoop | IterBasedTrainLoop) -> bool:
    """Whether a run resumes from before the validation of its place, if one was due there: so all checkpoints are saved at first.

    One that is saved again, since the validation found it the best, holds what followed from it.
    """
    return loop.iter > 0 and loop.runner.message_hub.get_info(VALIDATED) != loop.iter


@LOOPS.register_module()
class ResumableEpochBasedTrainLoop(EpochBasedTrainLoop, ResumableData):
    """mmengine's `EpochBasedTrainLoop`, which also resumes in the middle of an epoch.

    Images before that place are not loaded. On the CPU the weights are those of a run without interruption, bit for bit, with any
    number of workers. A validation that was due where the checkpoint was saved comes first. The arguments are mmengine's.
    """

    endless = False

    def run(self):
        """Launches training; mmengine's own `run`, but for the place it begins at."""
        self._done = self._iter - self._epoch * len(self.dataloader)
        between_epochs = self._done == 0
        if not 0 <= self._done <= len(self.dataloader):
            self.runner.logger.warning(
                f'Iteration {self._iter} is not in epoch {self._epoch + 1} of {len(self.dataloader)} batches: data set, batch size or '
                'number of processes are not those of the checkpoint. That epoch begins anew.'
            )
            self._done = 0
        self.runner.call_hook('before_train')
        if between_epochs and saved_before_validation(self):
            self._validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate_if_due(self) -> None:
        self._decide_current_val_interval()
        validate_if_due(self, self._epoch, self._max_epochs)

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
    begun anew with its next epoch, without a pause. A validation that was due where the checkpoint was saved comes first. The arguments
    are mmengine's.
    """

    endless = True

    def run(self):
        """Launches training; mmengine's own `run`, less its loading of what is skipped."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.dataloader.place.start_at(self._iter, self._iter, self.runner.seed)
        if saved_before_validation(self):
            self._validate_if_due()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate_if_due()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate_if_due(self) -> None:
        self._decide_current_val_interval()
        validate_if_due(self, self._iter, self._max_iters)
