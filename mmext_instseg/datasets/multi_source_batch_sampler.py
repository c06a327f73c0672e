"""Batches that several data sets share."""

from collections.abc import Sequence

from mmdet.datasets.samplers import MultiSourceSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler

from ..registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class MultiSourceBatchSampler(BatchSampler):
    """mmdet's `MultiSourceSampler` with the data loader's batch size, so that there is one number to change.

        train_dataloader = dict(
            batch_size=8,
            sampler=dict(type='InfiniteSampler', shuffle=True),
            batch_sampler=dict(type='MultiSourceBatchSampler', source_ratio=[3, 1]),
            dataset=dict(type='ConcatDataset', datasets=[...]),
        )

    `MultiSourceSampler` as the loader's `sampler` has a batch size of its own; where the two differ, batches aren't mixed, without a word.

    Batches never end; each has its images in the order of the data sets. Shares are rounded down, the first data set has the rest.

    Args:
        sampler: the loader's, whose data set, order (`shuffle`) and seed are taken.
        batch_size: the loader's.
        source_ratio: share of each data set.

    Raises:
        ValueError: other data than a concatenation of as many data sets; a data set without an image in a batch.
    """

    def __init__(self, sampler: InfiniteSampler | DefaultSampler, batch_size: int, source_ratio: Sequence[float]) -> None:
        dataset = sampler.dataset
        if len(getattr(dataset, 'cumulative_sizes', ())) != len(source_ratio):
            raise ValueError(
                f'MultiSourceBatchSampler: source_ratio={list(source_ratio)} needs a ConcatDataset of {len(source_ratio)} data sets, '
                f'this is {type(dataset).__name__}'
            )
        mixed = MultiSourceSampler(dataset, batch_size, list(source_ratio), shuffle=sampler.shuffle, seed=sampler.seed)
        super().__init__(mixed, batch_size, drop_last=False)
