"""Ten steps are five, a kill, and the rest: the same weights, bit for bit."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from engine.interrupted import assert_same_run, checkpoint, config, start
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed

from mmext_instseg.compat.durable_files import find_latest_checkpoint
from mmext_instseg.registry import HOOKS

EPOCHS = dict(type='ResumableEpochBasedTrainLoop', max_epochs=2)  # of six steps: the fifth is within the first
ITERATIONS = dict(type='ResumableIterBasedTrainLoop', max_iters=10, val_interval=4)
LOOPS = [
    pytest.param(EPOCHS, 'DefaultSampler', id='epochs'),
    pytest.param(ITERATIONS, 'InfiniteSampler', id='iterations'),
    pytest.param(ITERATIONS, 'DefaultSampler', id='iterations, finite sampler'),
]


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize(('loop', 'sampler'), LOOPS)
def test_a_killed_run_ends_as_one_that_was_not(tmp_path, loop, sampler, workers):
    given = dict(train_cfg=loop, sampler=sampler, workers=workers)
    seed = dict(randomness=dict(seed=3))
    assert start(config(tmp_path / 'straight', **given, **seed)) == 0
    assert start(config(tmp_path / 'killed', **given, hooks=[dict(type='SignalHook', step=8)], **seed)) == -signal.SIGKILL
    assert checkpoint(tmp_path / 'killed')['meta']['iter'] == 5
    assert start(config(tmp_path / 'killed', **given, **seed, resume=True)) == 0
    assert_same_run(checkpoint(tmp_path / 'killed'), checkpoint(tmp_path / 'straight'))


@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_what_was_trained_is_not_loaded_again(tmp_path, loop):
    """Without a seed in the config too: the order of the images is that of the run which began."""
    loaded = tmp_path / 'loaded.txt'
    cfg = config(tmp_path, loop, loaded=str(loaded))
    assert start(cfg) == 0
    began = loaded.read_text().split()
    loaded.unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_5.pth'))
    assert start(dict(cfg, resume=True)) == 0
    assert loaded.read_text().split() == began[10:]


@HOOKS.register_module()
class NoteValidations(Hook):
    """A line in `file` for each validation: epochs and iterations before it. The one at `kill` gets no further."""

    def __init__(self, file, kill=None):
        self.file, self.kill = file, kill

    def before_val(self, runner):
        place = f'{runner.epoch}.{runner.iter}'
        with open(self.file, 'a') as file:
            file.write(f'{place}\n')
        if place == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


def validated(work_dir, loop, kill=None):
    """A run that keeps its best checkpoint, and notes its validations."""
    hook = dict(type='NoteValidations', file=f'{work_dir}.txt', kill=kill)
    cfg = config(work_dir, loop, [hook], randomness=dict(seed=3))
    saves = dict(interval=1) if 'max_epochs' in loop else cfg['default_hooks']['checkpoint']
    cfg['default_hooks']['checkpoint'] = dict(saves, type='CheckpointHook', save_best='score', rule='greater')
    return cfg


@pytest.mark.parametrize(
    ('loop', 'kill', 'expected'),
    [
        pytest.param(dict(ITERATIONS, val_interval=10), '0.10', '0.10', id='the last iteration'),
        pytest.param(dict(ITERATIONS, val_interval=5), '0.5', '0.5 0.10', id='an iteration'),
        pytest.param(dict(ITERATIONS, val_interval=8), '0.8', '0.8 0.10', id='none due'),
        pytest.param(dict(EPOCHS, val_interval=2), '2.12', '2.12', id='the last epoch'),
        pytest.param(EPOCHS, '1.6', '1.6 2.12', id='an epoch'),
    ],
)
def test_a_validation_that_was_due_is_made_up(tmp_path, loop, kill, expected):
    """A checkpoint is saved before the validation of its place: what ends the run in between must not cost the best weights."""
    straight, killed = validated(tmp_path / 'straight', loop), validated(tmp_path / 'killed', loop, kill)
    assert (start(straight), start(killed)) == (0, -signal.SIGKILL)
    (tmp_path / 'killed.txt').unlink()
    again = dict(validated(tmp_path / 'killed', loop), resume=True)
    assert start(again) == 0
    assert (tmp_path / 'killed.txt').read_text().split() == expected.split()
    assert_same_run(checkpoint(tmp_path / 'killed'), checkpoint(tmp_path / 'straight'))
    best, other = (sorted(path.name for path in (tmp_path / name).glob('best_*.pth')) for name in ('killed', 'straight'))
    assert best and best == other


@pytest.mark.parametrize('loop', [dict(ITERATIONS, val_interval=10), dict(EPOCHS, val_interval=2)], ids=['iterations', 'epochs'])
def test_a_validation_that_found_the_best_is_not_repeated(tmp_path, loop):
    """mmengine saves the checkpoint again then, with what followed from the validation."""
    cfg = validated(tmp_path / 'run', loop)
    assert (start(cfg), start(dict(cfg, resume=True))) == (0, 0)
    assert len((tmp_path / 'run.txt').read_text().split()) == 1


def choose(cfg, rank, ranks, rendezvous):
    """What a rank whose work directory lies on a disk of its own resumes from, or why not, in a file beside."""
    os.chdir(f'{cfg["work_dir"]}/disk_{rank}')
    distributed.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=ranks)
    try:
        found = find_latest_checkpoint('.')
    except RuntimeError as error:
        found = str(error)
    Path('found').write_text(found)


def test_all_ranks_resume_from_the_first_ones_checkpoint(tmp_path):
    disks = [tmp_path / f'disk_{rank}' for rank in range(2)]
    for step, disk in enumerate(disks):
        disk.mkdir()
        (disk / 'last_checkpoint').write_text(f'iter_{step}.pth')
        torch.save(torch.tensor(step), disk / f'iter_{step}.pth')

    def found():
        assert start(dict(work_dir=str(tmp_path)), ranks=2, target=choose) == [0, 0]
        return [(disk / 'found').read_text() for disk in disks]

    assert [re.search('iter_0.pth, which rank 0 resumes from, is not on rank 1: .*share', text) is not None for text in found()] == [
        True,
        True,
    ]
    torch.save(torch.tensor(7), disks[1] / 'iter_0.pth')  # another run's
    assert all('not on rank 1' in text for text in found())
    shutil.copy(disks[0] / 'iter_0.pth', disks[1] / 'iter_0.pth')
    assert found() == ['iter_0.pth', 'iter_0.pth']
    (disks[0] / 'iter_0.pth').write_bytes(b'cut')
    assert all('iter_0.pth cannot be resumed from: it is not whole' in text for text in found())


def test_another_number_of_processes_is_said(tmp_path, capfd):
    assert start(config(tmp_path, dict(ITERATIONS, max_iters=5), randomness=dict(seed=3))) == 0
    assert start(config(tmp_path, ITERATIONS, launcher='pytorch', randomness=dict(seed=3), resume=True), ranks=2) == [0, 0]
    assert 'The checkpoint is of 1 processes, this run has 2' in ''.join(capfd.readouterr())


def test_a_place_that_is_in_no_epoch_begins_the_epoch_anew(tmp_path, capfd):
    assert start(config(tmp_path, dict(EPOCHS, max_epochs=1), randomness=dict(seed=3))) == 0
    longer = config(tmp_path, EPOCHS, loaded=str(tmp_path / 'loaded.txt'), randomness=dict(seed=3), resume=True)
    longer['train_dataloader']['batch_size'] = 4
    assert start(longer) == 0
    assert 'Iteration 6 is not in epoch 1 of 3 batches' in ''.join(capfd.readouterr())
    assert len((tmp_path / 'loaded.txt').read_text().split()) == 2 * 12


def test_data_without_batches_are_refused(tmp_path):
    cfg = config(tmp_path, ITERATIONS)
    cfg['train_dataloader']['batch_size'] = None
    with pytest.raises(ValueError, match='NoisyNumbers has no batches of indices'):
        Runner(**cfg).train()


def test_data_without_an_image_are_refused(tmp_path):
    cfg = config(tmp_path, ITERATIONS)
    cfg['train_dataloader'].update(batch_size=13, drop_last=True)
    with pytest.raises(ValueError, match='fewer than batch_size'):
        Runner(**cfg).train()
