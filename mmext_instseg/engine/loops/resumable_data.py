"""Batches from any place on: which images, and with which random numbers, is a function of seed, rank and iteration alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader, get_worker_info

from ..hooks.random_state_hook import RandomStateHook, random_state, set_random_state


def seed_generators(*numbers: int) -> None:
    """Seeds Python, NumPy and torch on the CPU by all the numbers, which may be any non-negative integers."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (what transforms draw from)
    torch.default_generator.manual_seed(seed)


@dataclass
class SeededBatch:
    """Indices of a batch; who iterates over them, a worker or the main process, has the generators seeded before each sample.

    So augmentation doesn't depend on the workers, and a training step with `num_workers=0` keeps its own random numbers.
    """

    indices: list[Any]
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Any]:
        before = random_state() if get_worker_info() is None else None
        try:
            for position, index in enumerate(self.indices):
                seed_generators(*self.seed, position)
                yield index
        finally:
            if before is not None:
                set_random_state(before)


class ResumableBatchSampler:
    """A loader's batch sampler that skips batches without loading them, and seeds each sample.

    Args:
        batches: the loader's own batch sampler.
        endless: whether to begin anew, with the sampler's next epoch, when it ends.
    """

    def __init__(self, batches: Any, endless: bool) -> None:
        self.batches = batches
        self.sampler: Any = getattr(batches, 'sampler', None)  # where mmengine's DistSamplerSeedHook looks for `set_epoch`
        self.endless = endless
        self.start_at(skip=0, iteration=0, seed=0)

    def start_at(self, skip: int, iteration: int, seed: int) -> None:
        """The next pass leaves out `skip` batches, and counts iterations, which seed the samples, from `iteration` on."""
        self.skip, self.iteration, self.seed = skip, iteration, seed

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        batches = self._passes() if self.endless else self.batches
        for iteration, indices in enumerate(islice(batches, self.skip, None), self.iteration):
            yield SeededBatch(list(indices), (self.seed, get_rank(), iteration))

    def _passes(self) -> Iterator[list[Any]]:
        for epoch in count():
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            empty = True
            for indices in self.batches:
                empty = False
                yield indices
            if empty:
                raise ValueError('The training data have no batch: no image, or fewer than batch_size with drop_last=True.')


class ResumableLoader(DataLoader):
    """`loader` with a `ResumableBatchSampler`, its `place`.

    Raises:
        ValueError: the loader has no batches of indices, as with an iterable data set or `batch_size=None`.
    """

    def __init__(self, loader: DataLoader, endless: bool) -> None:
        if loader.batch_sampler is None:
            raise ValueError(f'{type(loader.dataset).__name__} has no batches of indices: use a train loop of mmengine itself')
        self.place = ResumableBatchSampler(loader.batch_sampler, endless)
        super().__init__(
            loader.dataset,
            batch_sampler=self.place,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator or torch.Generator(),  # else each start of an iterator draws from the run's own
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def __iter__(self) -> Any:
        """Starts with the first batch asked for: mmengine's loop makes its iterator before a checkpoint says where to start."""
        yield from super().__iter__()


class ResumableData(BaseLoop):
    """Second base of a train loop: the first, mmengine's, calls this `__init__` as `BaseLoop`'s and gets the data from here."""

    endless: bool
    dataloader: ResumableLoader

    def __init__(self, runner, dataloader: DataLoader | dict) -> None:
        super().__init__(runner, dataloader)
        self.dataloader = ResumableLoader(self.dataloader, self.endless)
        if not any(isinstance(hook, RandomStateHook) for hook in runner.hooks):
            runner.register_hook(RandomStateHook())
