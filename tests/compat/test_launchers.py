"""mmengine's launchers on a machine without a GPU, and their untouched course on one with."""

import socket
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from mmengine.dist import get_backend, init_dist

from mmext_instseg.compat import launchers


@pytest.fixture
def alone(monkeypatch):
    """The environment of a launcher's only process."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    variables = dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    variables |= dict(SLURM_PROCID='0', SLURM_LOCALID='0', SLURM_NTASKS='1', SLURM_NODELIST='localhost')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_without_a_gpu_nccl_becomes_gloo(alone, launcher):
    init_dist(launcher, backend='nccl', timeout=60)
    assert get_backend() == 'gloo'
    assert launchers.upstream.torch is torch


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_the_group_is_left_before_python_ends(alone):
    script = (
        'import atexit, torch.distributed as dist\n'
        "atexit.register(lambda: print('still a member:', dist.is_initialized()))\n"  # the last to be called
        'import mmext_instseg\n'
        'from mmengine.dist import init_dist\n'
        "init_dist('pytorch', timeout=60)\n"
        "print('member:', dist.is_initialized())"
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=300)
    assert done.stdout.split('\n')[-3:] == ['member: True', 'still a member: False', ''], done.stdout + done.stderr


def test_with_a_gpu_nothing_changes(monkeypatch):
    monkeypatch.setattr(launchers, 'get_device', lambda: 'cuda')
    given = []
    launchers._init_dist(lambda *args, **kwargs: given.append((args, kwargs, launchers.upstream.torch)), 'nccl', timeout=1)
    assert given == [(('nccl',), {'timeout': 1}, torch)]


def test_a_second_call_changes_nothing():
    before = launchers.upstream._init_dist_slurm
    launchers.apply()
    assert launchers.upstream._init_dist_slurm is before
