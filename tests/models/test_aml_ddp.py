"""Two processes, one of which has no instance."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from head_contract import scene
from mask_head_contract import build, make_sample, pyramid, small_config
from torch.nn.parallel import DistributedDataParallel


class Step(torch.nn.Module):
    """The losses of a head as a module that DDP can wrap."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, kinds: list[str]) -> dict[str, torch.Tensor]:
        return self.head.loss(pyramid(64, 96, num=len(kinds)), [make_sample(scene(kind, 64, 96)) for kind in kinds])


def make_step() -> Step:
    head = build(small_config())
    head.init_weights()
    return Step(head)


def train(rank: int, folder: str) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    step = DistributedDataParallel(make_step())
    optimizer = torch.optim.SGD(step.parameters(), lr=0.1)
    for kinds in (['one', 'overlapping'], ['one', 'one']):  # a second step hangs or raises if the first left a gradient out
        losses = step(kinds if rank == 0 else ['none', 'none'])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        if kinds[1] == 'overlapping':
            first = {name: value.detach() for name, value in losses.items()}
    torch.save((first, step.module.state_dict()), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.timeout(120)
def test_one_rank_without_instances(tmp_path: Path):
    torch.multiprocessing.spawn(train, args=(str(tmp_path),), nprocs=2)
    (losses, weights), (empty_losses, empty_weights) = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    assert losses.keys() == empty_losses.keys() and empty_losses['loss_mask'] == 0
    for name, value in weights.items():
        torch.testing.assert_close(value, empty_weights[name], rtol=0, atol=0)
    # both divide by the mean number of positive cells: half of what a single process divides by
    alone = make_step()(['one', 'overlapping'])
    torch.testing.assert_close(losses['loss_mask'], 2 * alone['loss_mask'].detach())
