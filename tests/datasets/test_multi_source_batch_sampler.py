"""Batches of several data sets have one batch size, the data loader's."""

import copy
from itertools import islice
from types import SimpleNamespace

import pytest
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, Dataset

from mmext_instseg.datasets import MultiSourceBatchSampler


class Numbers(Dataset):
    """10 whole numbers from `start`."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        return self.start + index


@DATASETS.register_module()
def two_sources() -> Dataset:
    """0 to 9 and 100 to 109."""
    return ConcatDataset([Numbers(0), Numbers(100)])


LOADER = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(type='MultiSourceBatchSampler', source_ratio=[3, 1]),
    dataset=dict(type='two_sources'),
    collate_fn=list,
)


def batches(number: int, seed: int = 0, **changes) -> list[list[int]]:
    return list(islice(Runner.build_dataloader(copy.deepcopy(LOADER) | changes, seed=seed), number))


@pytest.mark.parametrize(('size', 'counts'), [(4, (3, 1)), (8, (6, 2)), (12, (9, 3)), (5, (4, 1))])
def test_the_loaders_batch_size_is_the_only_one(size, counts):
    """With mmdet's sampler as it is, a batch size changed in the loader alone leaves batches unmixed."""
    for batch in batches(7, batch_size=size):
        assert (sum(one < 100 for one in batch), sum(one >= 100 for one in batch)) == counts


def test_seed_and_order_are_those_of_the_loaders_sampler():
    assert batches(5) == batches(5) != batches(5, seed=1)
    ordered = batches(2, sampler=dict(type='InfiniteSampler', shuffle=False))
    assert ordered == [[0, 1, 2, 100], [3, 4, 5, 101]]


def test_one_round_is_all_images_once():
    assert len(MultiSourceBatchSampler(SimpleNamespace(dataset=two_sources(), shuffle=True, seed=0), 4, [3, 1])) == 5


def test_a_batch_too_small_for_the_ratio_is_refused():
    with pytest.raises(ValueError, match=r'source_ratio=\[3, 1\] gives the data sets \[2, 0\] images; make the batch larger'):
        batches(1, batch_size=2)


def test_other_data_are_refused():
    with pytest.raises(ValueError, match=r'source_ratio=\[3, 1\] needs a ConcatDataset of 2 data sets, this is Numbers'):
        batches(1, dataset=Numbers(0))
    with pytest.raises(ValueError, match=r'source_ratio=\[1\] needs a ConcatDataset of 1 data sets, this is ConcatDataset'):
        batches(1, batch_sampler=dict(type='MultiSourceBatchSampler', source_ratio=[1]))
