"""Ten steps are five, a kill, and the rest: the same weights, bit for bit."""

import signal

import pytest
from engine.interrupted import assert_same_run, checkpoint, config, start
from mmengine.runner import Runner

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
