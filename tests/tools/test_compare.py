"""tools/compare.py from end to end with our own train.py and test.py, on a handful of Shapes."""

import argparse
import csv
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = '{root}/configs/dcme/dcme_tiny_shapes.py'
loader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}', num_images=4))
train_dataloader = val_dataloader = test_dataloader = loader
test_evaluator = [
    dict(type='CocoMetric', ann_file='{data}/v1_standard_128x128_seed1_n4/instances.json', metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file='{data}/v1_standard_128x128_seed1_n4/instances.json'),
]
val_evaluator = test_evaluator
"""
EPOCHS = """
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=6, val_interval=6)
param_scheduler = [dict(type='MultiStepLR', milestones=[4], gamma=0.1)]
"""


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    """Runs the tool in a folder of its own; returns the exit status and what it printed."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setenv('COLUMNS', '200')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / 'tools')
    main = runpy.run_path(str(ROOT / 'tools' / 'compare.py'))['main']

    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['compare.py', *map(str, words)])
        try:
            status = main()
        except SystemExit as exit:
            status = exit.code
        return status, capsys.readouterr().out

    return run


@pytest.fixture
def configs(tmp_path):
    text = CONFIG.replace('{root}', str(ROOT)).replace('{data}', str(tmp_path / 'data'))
    (tmp_path / 'iterations.py').write_text(text)
    (tmp_path / 'epochs.py').write_text(text + EPOCHS)
    return tmp_path / 'iterations.py', tmp_path / 'epochs.py'


def test_two_configs_are_trained_once(compare, configs, tmp_path):
    out = tmp_path / 'table'
    words = (*configs, '--iters', 4, '--budget', 60, '--seeds', 1, '--out', out, '--metric', 'agnostic/segm_mAP')
    status, text = compare(*words)
    assert status == 0, text
    rows = list(csv.DictReader((out / 'runs.csv').open()))
    assert [(row['config'], row['seed'], row['iterations'], row['cut']) for row in rows] == [
        ('iterations', '0', '4', 'False'),
        ('epochs', '0', '4', 'False'),
    ]
    assert all(0 <= float(row['agnostic/segm_mAP']) <= 1 for row in rows)
    assert '| iterations | 1 | 4 |' in (out / 'table.md').read_text()
    assert (out / 'plot.png').read_bytes().startswith(b'\x89PNG')
    # 2 batches an epoch: 6 epochs are 12 iterations, so the milestone 4 stands at 8 of 12, here at 3 of 4.
    assert Config.fromfile(out / 'epochs' / 'config.py').param_scheduler[0].milestones == [3]

    before = {path: path.stat().st_mtime_ns for path in out.rglob('seed0/**/*')}
    status, text = compare(*words)
    assert status == 0
    assert text.count('finished before') == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob('seed0/**/*')} == before

    status, text = compare(*configs, '--iters', 5, '--budget', 60, '--out', out)
    assert 'holds runs with iters = 4, not 5' in status
    status, text = compare(*words, '--cfg-options', 'optim_wrapper.optimizer.lr=0.5')
    assert 'lr=0.5' in status


def test_failing_config_leaves_the_others_alone(compare, configs, tmp_path):
    broken = tmp_path / 'broken.py'
    broken.write_text(configs[0].read_text() + "model = dict(backbone=dict(type='NoSuchBackbone'))\n")
    status, text = compare(broken, '--iters', 1, '--seeds', 1, '--out', tmp_path / 'table')
    assert status == 1
    assert 'broken, seed 0 failed' in text
    assert 'NoSuchBackbone' in text
    assert not (tmp_path / 'table' / 'runs.csv').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['missing.py'], 'missing.py'),
        (['{iterations}', '{iterations}'], 'two configs are called iterations'),
        (['{iterations}', '--iters', '0'], 2),
        (['{iterations}', '--budget', 'nan'], 2),
    ],
)
def test_bad_arguments(compare, configs, words, message):
    status, _ = compare(*(word.replace('{iterations}', str(configs[0])) for word in words))
    assert status == message if isinstance(message, int) else message in status


def test_sweep_makes_a_row_of_each_value(configs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    tool = runpy.run_path(str(ROOT / 'tools' / 'compare.py'))
    rows = [tool['sweep'](text) for text in ('optim_wrapper.optimizer.lr=1e-3,0.01', 'val_cfg.a,test_cfg.a=x')]
    args = argparse.Namespace(configs=configs[:1], sweep=rows, cfg_options={'randomness.seed': 3}, iters=4, budget=None)
    made = tool['prepare'](args)
    assert list(made) == ['iterations', 'iterations-lr=1e-3', 'iterations-lr=0.01', 'iterations-a=x']
    assert [one.optim_wrapper.optimizer.lr for one in made.values()] == [0.002, 0.001, 0.01, 0.002]
    assert made['iterations-a=x'].val_cfg.a == made['iterations-a=x'].test_cfg.a == 'x'
    assert {one.randomness.seed for one in made.values()} == {3}
    for bad in ('lr', 'lr=', '=1', 'lr,=1', 'lr=1,,2'):
        with pytest.raises(argparse.ArgumentTypeError, match='is not KEY'):
            tool['sweep'](bad)


def test_help_has_an_example(compare):
    status, text = compare('--help')
    assert status == 0
    assert 'python tools/compare.py configs/dcme/dcme_tiny_shapes.py' in text
