"""Budgets by hand-derived numbers; runs by stand-ins for train.py and test.py, which count how often they are called."""

import copy
import csv
import subprocess
import sys

import pytest
from engine.toy import toy_config
from matplotlib.axes import Axes
from mmengine.config import Config
from mmengine.runner import Runner

from mmext_instseg.engine.comparison import Run, RunError, claim_folder, execute, finished, lock_folder, with_budget, write_report
from mmext_instseg.engine.comparison.runs import curve

TRAIN = """
import json, pathlib, sys, time
config, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[3])
assert sys.argv[4:] == ['--cfg-options', 'randomness.seed=1'], sys.argv
calls = pathlib.Path(__file__).with_name('calls'); calls.open('a').write('train ')
if config.read_text() == 'broken':
    sys.exit('a reason')
if config.read_text() == 'slow':
    work.joinpath('left_over').touch(); time.sleep(60)
logs = work / '2026' / 'vis_data'; logs.mkdir(parents=True)
logs.joinpath('scalars.json').write_text('{"loss": 2.0, "step": 5}\\n{"loss": 1.0, "step": 7}\\n')
work.joinpath('final.pth').touch()
budget = dict(iterations=7, max_iters=9, seconds=1.5, cut=True, parameters=3)
work.joinpath('budget.json').write_text(json.dumps(budget))
"""
TEST = """
import pathlib, sys
weights, work = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[4])
calls = pathlib.Path(__file__).with_name('calls'); calls.open('a').write('test ')
assert weights.is_file()
(work / '2026').mkdir(parents=True)
(work / '2026' / 'x.json').write_text('{"coco/segm_mAP": 0.25, "time": 0.1, "data_time": 0.1, "note": "x"}')
"""


def toy(tmp_path, *args, **kwargs):
    return Config(toy_config(tmp_path, *args, **kwargs))


def test_iterations_scale_the_schedule(tmp_path):
    schedule = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
        dict(type='CosineAnnealingLR', T_max=1900, by_epoch=False, begin=100, end=2000, eta_min=0),
        dict(type='MultiStepLR', by_epoch=False, milestones=[1000, 1500], gamma=0.1),
        dict(type='ExponentialLR', by_epoch=False, gamma=0.99),
    ]
    given = toy(tmp_path, dict(type='IterBasedTrainLoop', max_iters=2000, val_interval=500), schedule)
    before = copy.deepcopy(given.to_dict())
    cfg = with_budget(given, iterations=500, seconds=60)
    assert given.to_dict() == before
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=500, val_begin=1, val_interval=125)
    warm_up, cosine, steps, exponential = cfg.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 25)
    assert (cosine.begin, cosine.end, cosine.T_max) == (25, 500, 475)
    assert steps.milestones == [250, 375]
    assert exponential.gamma == pytest.approx(0.99**4)
    assert cfg.custom_hooks[-1] == dict(type='TimeBudgetHook', seconds=60)
    assert cfg.default_hooks.logger.interval == 10
    assert cfg.train_dataloader.sampler.type == 'DefaultSampler'


def test_epochs_become_iterations(tmp_path):
    # 10 samples in batches of 2: 5 iterations an epoch, 20 in all; at 40 iterations everything doubles.
    schedule = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
        dict(type='MultiStepLR', milestones=[2, 3], gamma=0.1),
        dict(type='CosineAnnealingLR', by_epoch=True, T_max=4, end=4, convert_to_iter_based=True),
        dict(type='ExponentialLR', gamma=0.5),
    ]
    cfg = with_budget(toy(tmp_path, dict(by_epoch=True, max_epochs=4, val_interval=2, val_begin=2), schedule), iterations=40)
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=40, val_begin=20, val_interval=20)
    warm_up, steps, cosine, exponential = cfg.param_scheduler
    assert warm_up.end == 8
    assert steps.milestones == [20, 30]
    assert (cosine.T_max, cosine.end) == (40, 40)
    assert 'convert_to_iter_based' not in cosine
    assert exponential.gamma**10 == pytest.approx(0.5)
    assert not any(one.by_epoch for one in cfg.param_scheduler)
    assert cfg.train_dataloader.sampler == dict(type='InfiniteSampler', shuffle=True)


@pytest.mark.parametrize('loop', [dict(by_epoch=True), dict(type='ResumableEpochBasedTrainLoop')])
def test_own_length_without_iterations(tmp_path, loop):
    cfg = with_budget(toy(tmp_path, dict(**loop, max_epochs=3)))
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (15, 5)


def test_short_budgets_keep_schedulers_valid(tmp_path):
    schedule = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=10, end=20), dict(type='StepLR', by_epoch=False, step_size=9)]
    cfg = with_budget(toy(tmp_path, dict(type='IterBasedTrainLoop', max_iters=10000), schedule), iterations=3)
    assert (cfg.param_scheduler[0].begin, cfg.param_scheduler[0].end, cfg.param_scheduler[1].step_size) == (1, 2, 1)


def test_schedules_by_optimizer(tmp_path):
    schedule = dict(generator=[dict(type='StepLR', by_epoch=False, step_size=4)], critic=dict(type='StepLR', by_epoch=False, step_size=8))
    scaled = with_budget(toy(tmp_path, dict(type='IterBasedTrainLoop', max_iters=10), schedule), iterations=20).param_scheduler
    assert (scaled.generator[0].step_size, scaled.critic.step_size) == (8, 16)


def test_schedulers_that_never_step_stay(tmp_path):
    cfg = with_budget(toy(tmp_path, dict(type='IterBasedTrainLoop', max_iters=10), dict(type='StepLR', step_size=9)), iterations=3)
    assert cfg.param_scheduler == dict(type='StepLR', step_size=9)


@pytest.mark.parametrize('shape', ['single', 'list'])
def test_a_trained_toy_ends_at_the_same_rate(tmp_path, shape):
    schedule = dict(type='PolyLR', eta_min=0.0001, power=1.0, end=4)
    given = toy(tmp_path / 'train', dict(by_epoch=True, max_epochs=4), schedule if shape == 'single' else [schedule])
    runner = Runner.from_cfg(with_budget(given, iterations=8))
    runner.train()
    assert runner.iter == 8
    # 5 iterations an epoch at 8 of 20: a validation every 2
    assert [row['step'] for row in curve(tmp_path) if 'toy' in row] == [2, 4, 6, 8]
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(0.0001)]
    assert (tmp_path / 'train' / 'final.pth').is_file()
    assert not list(tmp_path.rglob('iter_*.pth'))
    reread = Config.fromstring(given.pretty_text, '.py')
    assert with_budget(reread, iterations=8).pretty_text == with_budget(given, iterations=8).pretty_text


@pytest.mark.parametrize(
    ('loop', 'schedule', 'message'),
    [
        (dict(type='SomeLoop', max_iters=3), None, 'EpochBasedTrainLoop or an IterBasedTrainLoop'),
        (None, None, 'EpochBasedTrainLoop or an IterBasedTrainLoop'),
        (dict(by_epoch=True, max_epochs=3), [dict(type='ReduceOnPlateauLR', monitor='toy')], 'follows the validation'),
    ],
)
def test_no_known_length(tmp_path, loop, schedule, message):
    with pytest.raises(ValueError, match=message):
        with_budget(toy(tmp_path, loop, schedule), iterations=3)


def test_folder_refuses_other_settings(tmp_path):
    first, other = Config(dict(lr=1)), Config(dict(lr=2))
    claim_folder(tmp_path, dict(a=first), dict(iters=5))
    claim_folder(tmp_path, dict(a=first, b=other), dict(iters=5))
    with pytest.raises(ValueError, match='iters = 5, not 6; choose another folder with --out'):
        claim_folder(tmp_path, dict(c=first), dict(iters=6))
    with pytest.raises(ValueError, match=r'(?s)config\.py differs.*-lr = 1\n\+lr = 2'):
        claim_folder(tmp_path, dict(d=first, a=other), dict(iters=5))
    assert {path.name for path in tmp_path.iterdir()} == {'a', 'b', 'settings.json'}


@pytest.fixture
def tools(tmp_path):
    folder = tmp_path / 'tools'
    folder.mkdir()
    (folder / 'train.py').write_text(TRAIN)
    (folder / 'test.py').write_text(TEST)
    return folder


def make_run(tmp_path, config='good'):
    run = Run(tmp_path / 'out', 'toy', seed=1)
    run.config.parent.mkdir(parents=True)
    run.config.write_text(config)
    return run


def test_a_run_is_made_once(tmp_path, tools):
    run = make_run(tmp_path)
    assert finished(run) is None
    result = execute(run, tools)
    assert result.pop('wall_seconds') > 0
    expected = dict(config='toy', seed=1, iterations=7, max_iters=9, seconds=1.5, cut=True, parameters=3)
    assert result == dict(**expected, metrics={'coco/segm_mAP': 0.25})
    assert finished(run)['metrics'] == {'coco/segm_mAP': 0.25}
    assert (tools / 'calls').read_text() == 'train test '


def test_interrupted_test_does_not_cost_the_training(tmp_path, tools):
    run = make_run(tmp_path)
    execute(run, tools)
    (run.folder / 'result.json').unlink()
    assert execute(run, tools)['metrics'] == {'coco/segm_mAP': 0.25}
    assert (tools / 'calls').read_text() == 'train test test '


def test_killed_training_starts_anew_and_leaves_no_process(tmp_path, tools):
    run = make_run(tmp_path, 'slow')

    def interrupt(step):
        if (run.folder / 'train' / 'left_over').exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, tools, interrupt)
    with lock_folder(run.out):  # a process that lived on would hold it
        pass
    assert finished(run) is None
    run.config.write_text('good')
    assert execute(run, tools)['iterations'] == 7
    assert not (run.folder / 'train' / 'left_over').exists()


def test_failed_training_shows_its_log(tmp_path, tools):
    run = make_run(tmp_path, 'broken')
    with pytest.raises(RunError, match=r'(?s)a reason.*train\.py failed \(exit status 1\); the whole log: .*train\.log'):
        execute(run, tools)
    assert finished(run) is None


def test_progress_is_read_from_the_log(tmp_path, tools):
    (tools / 'train.py').write_text(TRAIN + 'time.sleep(1)\n')
    seen = []
    execute(make_run(tmp_path), tools, seen.append)
    assert seen[-1] == 7


def test_one_comparison_a_folder(tmp_path):
    code = 'import sys, time; print("on", flush=True); time.sleep(60)'
    with lock_folder(tmp_path / 'out'):
        with pytest.raises(ValueError, match='another comparison runs in'), lock_folder(tmp_path / 'out'):
            pass
        child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, close_fds=False)
        child.stdout.readline()
    with pytest.raises(ValueError, match='another comparison runs in'), lock_folder(tmp_path / 'out'):
        pass
    child.kill()
    child.communicate()
    with lock_folder(tmp_path / 'out'):
        pass


def result_of(name, seed, score, **changed):
    row = dict(config=name, seed=seed, iterations=100, max_iters=100, cut=False, seconds=10.0, wall_seconds=20.0, parameters=5)
    return {**row, 'metrics': {'coco/segm_mAP': score, 'coco/segm_mAP_50': 0.5}, **changed}


def test_report(tmp_path):
    # 0.2 and 0.4: mean 0.3, sample standard deviation sqrt(2 * 0.1^2 / 1) = 0.141
    runs = {Run(tmp_path, 'a', seed): result_of('a', seed, score) for seed, score in enumerate([0.2, 0.4])}
    runs[Run(tmp_path, 'b', 0)] = result_of('b', 0, 0.7)
    logs = tmp_path / 'a' / 'seed0' / 'train' / '2026' / 'vis_data'
    logs.mkdir(parents=True)
    (logs / 'scalars.json').write_text('{"loss": 2.0, "step": 5}\n{"coco/segm_mAP": 0.1, "step": 5}\n{"lo')
    _, notes = write_report(tmp_path, runs)
    assert notes == []
    lines = (tmp_path / 'table.md').read_text().splitlines()
    assert lines[0] == '| config | runs | iterations | seconds | coco/segm_mAP |'
    assert lines[2:] == ['| a | 2 | 100 | 10 | 0.300 ± 0.141 |', '| b | 1 | 100 | 10 | 0.700 |']
    rows = list(csv.DictReader((tmp_path / 'runs.csv').open()))
    assert [(row['config'], row['seed'], row['coco/segm_mAP'], row['coco/segm_mAP_50']) for row in rows] == [
        ('a', '0', '0.2', '0.5'),
        ('a', '1', '0.4', '0.5'),
        ('b', '0', '0.7', '0.5'),
    ]
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_report_tells_what_is_not_comparable(tmp_path):
    runs = {
        Run(tmp_path, 'a', 0): result_of('a', 0, 0.2),
        Run(tmp_path, 'a', 1): result_of('a', 1, 0.2, iterations=40, cut=True, metrics={}),
    }
    _, notes = write_report(tmp_path, runs, ['coco/segm_mAP'])
    assert len(notes) == 3
    assert notes[0].startswith('1 of 2 runs were cut')
    assert '| a | 2 | 40 to 100 (cut) | 10 | 0.200 (1 of 2 runs) |' in (tmp_path / 'table.md').read_text()


def test_unknown_metric_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="'coco/PQ'; there are: coco/segm_mAP, coco/segm_mAP_50"):
        write_report(tmp_path, {Run(tmp_path, 'a', 0): result_of('a', 0, 0.2)}, ['coco/PQ'])
    assert (tmp_path / 'runs.csv').is_file()


def test_report_over_metrics_of_one_prefix(tmp_path, monkeypatch):
    scores = {'a': [{'size/0-8': 0.1, 'size/8-': 0.5}, {'size/0-8': 0.3, 'size/8-': 0.6}], 'b': [{'size/0-8': 0.4, 'size/8-': 0.4}]}
    runs = {
        Run(tmp_path, name, seed): result_of(name, seed, 0.2, metrics={'coco/PQ': 40.0, **metrics})
        for name, rows in scores.items()
        for seed, metrics in enumerate(rows)
    }
    drawn = {}
    monkeypatch.setattr(Axes, 'errorbar', lambda self, x, y, ends, color, **_: drawn.update({color: (list(x), y, ends)}))
    write_report(tmp_path, runs, ['coco/PQ', 'size/*'])
    lines = (tmp_path / 'table.md').read_text().splitlines()
    assert lines[0] == '| config | runs | iterations | seconds | coco/PQ | size/0-8 | size/8- |'
    assert lines[3] == '| b | 1 | 100 | 10 | 40.000 | 0.400 | 0.400 |'
    first, second = drawn.values()
    assert first == ([0, 1], pytest.approx([0.2, 0.55]), [pytest.approx([0.1, 0.05]), pytest.approx([0.1, 0.05])])
    assert second == ([0, 1], [0.4, 0.4], [[0, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"no run has the metric 'area/\*'"):
        write_report(tmp_path, runs, ['area/*'])
