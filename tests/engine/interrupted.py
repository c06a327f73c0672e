"""A small run in a process of its own that is killed, told to end, or given bad numbers, and what it leaves."""

import os
import random
import signal
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import distributed, nn
from torch.multiprocessing import get_context
from torch.utils.data import Dataset

from mmext_instseg.registry import DATASETS, HOOKS, METRICS, MODELS

BATCHES = 6  # an epoch


@DATASETS.register_module()
class NoisyNumbers(Dataset):
    """Twelve numbers, augmented by each of the three generators; `loaded` gets a line for each that is read."""

    def __init__(self, loaded=None):
        self.loaded = loaded

    def __len__(self):
        return 2 * BATCHES

    def __getitem__(self, index):
        if self.loaded:
            with open(self.loaded, 'a') as file:
                file.write(f'{index}\n')
        noise = [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002
        return {'inputs': torch.tensor([float(index), *noise]), 'data_samples': BaseDataElement(metainfo={'img_id': 100 + index})}


@MODELS.register_module()
class NoisyNet(BaseModel):
    """Dropout, and noise of the two other generators, in a net with batch statistics."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = torch.stack(inputs)
        out = self.layers(inputs)
        if mode != 'loss':
            return [torch.rand(1)]
        noise = random.random() + np.random.rand()  # noqa: NPY002
        return {'loss_square': (out - 0.1 * inputs[:, :1] - noise).square().mean(), 'loss_size': 0.01 * out.abs().mean()}


@METRICS.register_module()
class NoMetric:
    """Draws as much as validations may."""

    def process(self, data_samples, data_batch=None):
        torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002

    def evaluate(self, size):
        return {'score': 0.5}


@HOOKS.register_module()
class SignalHook(Hook):
    """Has a signal sent, by a process of its own as a scheduler is, to this process, or to its group, within a step."""

    def __init__(self, step=4, number=signal.SIGKILL, rank=0, group=False):
        self.step, self.number, self.rank, self.group = step, number, rank, group

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step and runner.rank == self.rank:
            target = -os.getpgid(0) if self.group else os.getpid()
            subprocess.run(['kill', f'-{int(self.number)}', '--', str(target)], start_new_session=True, check=True)


def config(work_dir, train_cfg, hooks=(), workers=0, sampler='DefaultSampler', loaded=None, **settings):
    loader = dict(batch_size=2, num_workers=workers, persistent_workers=workers > 0)
    by_epoch = 'max_epochs' in train_cfg
    return dict(
        model=dict(type='NoisyNet'),
        train_dataloader=dict(**loader, dataset=dict(type='NoisyNumbers', loaded=loaded), sampler=dict(type=sampler, shuffle=True)),
        val_dataloader=dict(**loader, dataset=dict(type='NoisyNumbers'), sampler=dict(type='DefaultSampler', shuffle=True)),
        val_cfg=dict(),
        val_evaluator=dict(type='NoMetric'),
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01), clip_grad=dict(max_norm=1.0)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=12, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=5, by_epoch=False)),
        custom_hooks=[dict(type='EMAHook', momentum=0.1), *hooks],
        log_processor=dict(by_epoch=by_epoch),
        default_scope='mmengine',
        work_dir=str(work_dir),
        experiment_name=f'{work_dir}_{random.getrandbits(64)}'.replace('/', '_'),
        **settings,
    )


def train(cfg, rank=0, ranks=1, rendezvous=None):
    """Trains on one of `ranks` processes; called in the process itself."""
    os.setpgid(0, 0)
    torch.set_num_threads(1)
    if ranks > 1:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank))
        distributed.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=ranks)
    Runner(**cfg).train()


def start(cfg, ranks=1, target=train):
    """Exit codes of a training in processes of its own, one a rank; negative: the signal that killed it."""
    folder = Path(cfg['work_dir'])
    folder.mkdir(parents=True, exist_ok=True)
    rendezvous = folder / f'rendezvous_{random.getrandbits(64)}'
    context = get_context('fork')
    processes = [context.Process(target=partial(target, cfg, rank, ranks, rendezvous)) for rank in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        process.kill()
    codes = [process.exitcode for process in processes]
    return codes[0] if ranks == 1 else codes


def checkpoint(work_dir):
    """The checkpoint that `last_checkpoint` names."""
    return torch.load((Path(work_dir) / 'last_checkpoint').read_text(), weights_only=True)


def assert_same_run(found, expected):
    """Weights, EMA, optimizer, schedule, place and random states, bit for bit."""
    for part in ('state_dict', 'ema_state_dict'):
        torch.testing.assert_close(found[part], expected[part], rtol=0, atol=0)
    for one, other in zip(found['random_states']['ranks'], expected['random_states']['ranks'], strict=True):
        assert torch.equal(one.pop('torch'), other.pop('torch')) and one == other
    torch.testing.assert_close(found['optimizer']['state'], expected['optimizer']['state'], rtol=0, atol=0)
    assert found['optimizer']['param_groups'] == expected['optimizer']['param_groups']
    assert found['param_schedulers'] == expected['param_schedulers']
    assert all(found['meta'][key] == expected['meta'][key] for key in ('epoch', 'iter', 'seed'))
