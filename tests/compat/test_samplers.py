import pytest
from mmdet.datasets.samplers import MultiSourceSampler
from torch.utils.data import ConcatDataset, Dataset


class Numbers(Dataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def test_a_data_set_without_a_share_of_the_batch_is_an_error_not_a_hang():
    both = ConcatDataset([Numbers(6), Numbers(4)])
    with pytest.raises(ValueError, match=r'source_ratio=\[3, 1\] gives the data sets \[2, 0\] images; make the batch larger'):
        MultiSourceSampler(both, 2, [3, 1])
    indices = iter(MultiSourceSampler(both, 4, [3, 1], seed=0))
    batch = [next(indices) for _ in range(4)]
    assert sum(index >= 6 for index in batch) == 1
