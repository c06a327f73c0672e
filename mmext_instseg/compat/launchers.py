"""mmengine's launchers where there is no GPU: gloo in place of nccl, no device numbers, and a group that is left at the end.

mmengine 0.10.7 and onedl-mmengine 0.10.12: `--launcher pytorch` and `slurm` call `torch.cuda.set_device`, and `Runner.wrap_model` hands
DDP a device number; both raise on a machine without a GPU, where training on one process works. And they never leave the process group:
a thread of gloo that still lives while Python ends now and then aborts the process, so that slurm and torchrun call a finished run failed.
With a GPU nothing changes.

Upstream: as far as we know not reported. Goes when mmengine asks for the device first.
"""

import atexit
from functools import partial
from typing import Any

import mmengine.dist.utils as upstream
import torch
import torch.distributed as dist
from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel


class _TorchWithoutGpu:
    """torch as mmengine's launchers see it where there is no GPU: no device to set."""

    class cuda:
        @staticmethod
        def set_device(device: int) -> None:
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def _init_dist(original: Any, backend: str, *args: Any, **kwargs: Any) -> None:
    if get_device() != 'cpu':
        return original(backend, *args, **kwargs)
    upstream.torch = _TorchWithoutGpu()
    atexit.register(_leave)
    try:
        return original('gloo' if backend == 'nccl' else backend, *args, **kwargs)
    finally:
        upstream.torch = torch


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _wrap(original: Any, self: MMDistributedDataParallel, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
    if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
        kwargs.pop('device_ids', None)
    original(self, module, *args, **kwargs)


def apply() -> None:
    """Puts the cures into mmengine's modules; a second call changes nothing."""
    if isinstance(upstream._init_dist_slurm, partial):
        return
    for name in ('_init_dist_pytorch', '_init_dist_slurm'):
        setattr(upstream, name, partial(_init_dist, getattr(upstream, name)))
    original = MMDistributedDataParallel.__init__
    MMDistributedDataParallel.__init__ = lambda self, *args, **kwargs: _wrap(original, self, *args, **kwargs)
