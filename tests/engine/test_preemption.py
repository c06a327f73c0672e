"""A signal ends the run after the step it came in, with its work saved, on all ranks; `--resume` ends as if nothing had been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
from engine.interrupted import assert_same_run, checkpoint, config, start
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmext_instseg.engine import PreemptionHook

EPOCHS = dict(type='ResumableEpochBasedTrainLoop', max_epochs=2)
ITERATIONS = dict(type='ResumableIterBasedTrainLoop', max_iters=10, val_interval=4)


def signalled(work_dir, train_cfg, exit_code=75, **given):
    """The straight run, and one that gets the signal, by default in step 4."""
    hooks = [dict(type='PreemptionHook', exit_code=exit_code)]
    kill = dict(type='SignalHook', **given.pop('kill'))
    straight = config(work_dir / 'straight', train_cfg, hooks, **given)
    return straight, config(work_dir / 'told', train_cfg, [*hooks, kill], **given)


@pytest.mark.parametrize(
    ('loop', 'number', 'step'),
    [
        pytest.param(EPOCHS, signal.SIGUSR1, 4, id='within an epoch'),
        pytest.param(dict(EPOCHS, val_interval=2), signal.SIGTERM, 6, id='last step of an epoch'),
        pytest.param(ITERATIONS, signal.SIGTERM, 4, id='iterations'),
    ],
)
def test_a_run_that_was_told_to_end_goes_on(tmp_path, loop, number, step):
    straight, told = signalled(tmp_path, loop, kill=dict(number=number, step=step), randomness=dict(seed=3))
    assert start(straight) == 0
    assert start(told) == 75
    assert (tmp_path / 'told' / 'last_checkpoint').read_text() == str(tmp_path / 'told' / 'preempted.pth')
    assert checkpoint(tmp_path / 'told')['meta']['iter'] == step
    assert start(dict(told, resume=True)) == 0
    assert_same_run(checkpoint(tmp_path / 'told'), checkpoint(tmp_path / 'straight'))


@pytest.mark.timeout(60)
@pytest.mark.parametrize('loop', [ITERATIONS, dict(ITERATIONS, type='IterBasedTrainLoop')], ids=['resumable', "mmengine's"])
@pytest.mark.parametrize('group', [False, True], ids=['process', 'group'])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_data_workers_neither_crash_nor_outlive_the_run(tmp_path, number, group, loop):
    """Those of training, of validation and of a hook's own loader; mmengine's loop starts its own when it is built."""
    loop = dict(loop, val_interval=2)
    _, told = signalled(tmp_path, loop, exit_code=9, workers=2, kill=dict(number=number, group=group), randomness=dict(seed=3))
    own = dict(type='TrainMetricsHook', evaluator=dict(type='NoMetric'), dataloader=told['val_dataloader'])
    assert start(dict(told, custom_hooks=[*told['custom_hooks'], own])) == 9
    assert checkpoint(tmp_path / 'told')['meta']['iter'] == 4


def test_data_workers_are_spared_from_their_birth():
    """Spawned ones begin with seconds of imports; what isn't their parent's SIGTERM doesn't end them."""
    PreemptionHook()
    loader = DataLoader([1, 2], num_workers=1, multiprocessing_context='spawn', persistent_workers=True)
    batches = iter(loader)
    (worker,) = batches._workers
    for number in (signal.SIGTERM, signal.SIGUSR1):
        subprocess.run(['kill', f'-{int(number)}', str(worker.pid)], check=True)
    assert [batch.item() for batch in batches] == [1, 2]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_a_loop_that_begins_epochs_anew_ends_with_one(tmp_path, capfd):
    """Resumed within an epoch it would train that epoch's first steps twice."""
    for step, epochs, codes in ((4, 2, (75, 0)), (10, 2, (0, 0))):
        work_dir = tmp_path / str(step)
        hooks = [dict(type='PreemptionHook'), dict(type='SignalHook', step=step, number=signal.SIGTERM)]
        cfg = config(work_dir, dict(type='EpochBasedTrainLoop', max_epochs=epochs), hooks, randomness=dict(seed=3))
        cfg['default_hooks']['checkpoint'] = dict(type='CheckpointHook', interval=2, save_best='score', rule='greater')
        assert start(cfg) == codes[0]
        assert 'only at the end of an epoch: ResumableEpochBasedTrainLoop' in ''.join(capfd.readouterr())
        assert (work_dir / 'best_score_epoch_1.pth').exists(), 'the validation of the epoch came first'
        if codes[0]:
            meta = checkpoint(work_dir)['meta']
            assert (meta['epoch'], meta['iter']) == (1, 6)
        assert start(dict(cfg, resume=True)) == codes[1]
        assert checkpoint(work_dir)['meta']['iter'] == 12


@pytest.mark.timeout(120)
def test_all_ranks_end_at_the_same_step(tmp_path):
    randomness = dict(seed=3, diff_rank_seed=True)
    straight, told = signalled(tmp_path, EPOCHS, kill=dict(number=signal.SIGUSR1, rank=1), launcher='pytorch', randomness=randomness)
    assert start(straight, ranks=2) == [0, 0]
    assert start(told, ranks=2) == [75, 75]
    saved = checkpoint(tmp_path / 'told')
    first, second = saved['random_states']['ranks']
    assert saved['meta']['iter'] == 4 and first['python'] != second['python']
    assert start(dict(told, resume=True), ranks=2) == [0, 0]
    assert_same_run(checkpoint(tmp_path / 'told'), checkpoint(tmp_path / 'straight'))


def test_exit_code_out_of_range():
    with pytest.raises(ValueError, match='exit_code must be from 1 to 255, not 256'):
        PreemptionHook(256)


@pytest.mark.timeout(300)
def test_by_the_train_script_of_mmdet(tmp_path):
    straight, told = signalled(tmp_path, ITERATIONS, kill=dict(number=signal.SIGTERM), randomness=dict(seed=3))
    assert start(straight) == 0
    imports = dict(imports=['mmext_instseg', 'engine.interrupted'], allow_failed_imports=False)
    Config(dict(told, custom_imports=imports)).dump(tmp_path / 'config.py')
    script = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]))

    def train_script(*arguments):
        return subprocess.run([sys.executable, script, tmp_path / 'config.py', *arguments], env=environment, capture_output=True).returncode

    assert train_script('--resume') == 75  # nothing to resume from: it begins
    assert train_script('--resume') == 0
    assert_same_run(checkpoint(tmp_path / 'told'), checkpoint(tmp_path / 'straight'))
