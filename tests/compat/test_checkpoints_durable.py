"""Whenever a run is killed while it saves, and whatever happens to its newest checkpoint, there is one to resume from."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from engine.toy import toy_config
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch.multiprocessing import get_context

from mmext_instseg.compat import durable_files

LOOP = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=100)
KEPT = 2  # checkpoints, of steps 1 and 2


def run(work_dir, max_iters=2, kept=KEPT, **settings):
    cfg = toy_config(work_dir, dict(LOOP, max_iters=max_iters))
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=kept)
    runner = Runner(**cfg, default_hooks=dict(checkpoint=checkpoint), **settings)
    runner.train()
    return runner


# Killed while saving


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cut_at(share: float) -> None:
    """The writer dies when it has written this share of the file."""

    def put(self, data, path):
        with open(path, 'wb') as file:
            file.write(data[: round(share * len(data))])
            file.flush()
            die()

    LocalBackend.put = put


def die_at(name: str, number: int) -> None:
    """Dies instead of the n-th call of a function of `os`."""
    original, calls = getattr(os, name), []

    def call(*args, **kwargs):
        calls.append(args)
        return die() if len(calls) == number else original(*args, **kwargs)

    setattr(os, name, call)


def save(runner: Runner, fault, *args) -> None:
    fault(*args)
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    hook._save_checkpoint_with_step(runner, 3, meta=dict(epoch=0, iter=3))


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A run that keeps one checkpoint, that of step 2, and a copy of its folder."""
    work_dir = tmp_path_factory.mktemp('saved')
    runner = run(work_dir, kept=1)
    shutil.copytree(work_dir, f'{work_dir}_copy')
    return runner, work_dir, f'{work_dir}_copy'


OFFSETS = [(cut_at, number / 19) for number in range(20)]
# The calls of one save: the file is synced and renamed, its folder synced; the same for the pointer; the old file is removed.
CALLS = [(die_at, 'fsync', number) for number in (1, 2, 3, 4)] + [(die_at, 'replace', 1), (die_at, 'replace', 2), (die_at, 'remove', 1)]


@pytest.mark.parametrize('fault', OFFSETS + CALLS, ids=lambda fault: '-'.join(str(part) for part in fault[1:]))
def test_a_kill_while_saving_costs_nothing(saved, fault):
    runner, work_dir, copy = saved
    process = get_context('fork').Process(target=save, args=(runner, *fault))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    named = (work_dir / 'last_checkpoint').read_text()
    assert durable_files.damage(named) is None
    assert torch.load(named, weights_only=True)['meta']['iter'] in (2, 3)
    assert durable_files.find_latest_checkpoint(str(work_dir)) == named
    shutil.rmtree(work_dir)
    shutil.copytree(copy, work_dir)


# Damaged afterwards


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit_of_the_weights(path: Path) -> None:
    content, weight = bytearray(path.read_bytes()), torch.load(path, weights_only=True)['state_dict']['layer.weight']
    place = content.index(weight.numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)['state_dict']['layer.weight'] != weight  # torch doesn't notice


def empty_pointer(path: Path) -> None:
    path.with_name('last_checkpoint').write_text('')
    truncate(path)


def no_pointer(path: Path) -> None:
    path.with_name('last_checkpoint').unlink()
    truncate(path)


@pytest.mark.parametrize(
    'harm', [truncate, lambda path: os.truncate(path, 0), Path.unlink, flip_a_bit_of_the_weights, empty_pointer, no_pointer]
)
def test_resume_goes_back_to_the_one_before(tmp_path, monkeypatch, harm):
    run(tmp_path)
    torch.save({'state_dict': {}}, tmp_path / 'weights_only.pth')
    (tmp_path / 'notes.pth').write_text('not a checkpoint')
    harm(tmp_path / 'iter_2.pth')
    said = []
    monkeypatch.setattr(durable_files, 'print_log', lambda message, *_: said.append(message))
    resumed = run(tmp_path, max_iters=3, resume=True)
    assert len(resumed.message_hub.log_scalars['train/loss'].data[0]) == 3
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_3.pth')
    assert len(said) == 1 and f'Resuming from {tmp_path / "iter_1.pth"}, the newest checkpoint that is whole.' in said[0]


def test_nothing_left_to_resume_from_is_an_error(tmp_path):
    run(tmp_path)
    truncate(tmp_path / 'iter_1.pth')
    truncate(tmp_path / 'iter_2.pth')
    with pytest.raises(RuntimeError, match=r'iter_2\.pth cannot be resumed from: it is not whole .* Nor is there another'):
        run(tmp_path, resume=True)


def test_resume_where_nothing_is_begins(tmp_path):
    assert run(tmp_path, resume=True).iter == 2
