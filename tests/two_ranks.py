"""A function in two gloo processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def _run(rank: int, folder: str, function: Callable, arguments: tuple) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    torch.save(function(rank, *arguments), f'{folder}/rank_{rank}.pth')
    dist.destroy_process_group()


def two_ranks(function: Callable, folder: Path, *arguments: Any) -> list:
    """What `function(rank, *arguments)`, of the top of a module, returns on rank 0 and on rank 1: tensors and plain data."""
    torch.multiprocessing.spawn(_run, args=(str(folder), function, arguments), nprocs=2)
    return [torch.load(folder / f'rank_{rank}.pth') for rank in range(2)]
