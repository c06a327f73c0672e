"""Logs as mmengine writes them, of a few lines each; every value of the tables derived by hand."""

import json
import math
from pathlib import Path

import pytest

from mmext_instseg.visualization import TrainingLog, choose_metrics, log_rows, plot_logs, read_training_log
from mmext_instseg.visualization.training_log import best_point


def write(folder: Path, *rows: dict, part: str = '20260101_000000') -> Path:
    path = folder / part / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return folder


def epoch(number: int, iteration: int, **values: float) -> dict:
    return {'lr': 0.1, **values, 'epoch': number, 'iter': iteration, 'step': iteration}


EPOCHS = (
    epoch(1, 10, loss=4.0),
    epoch(1, 20, loss=2.0),
    {'semantic/mIoU': 0.5, 'train/semantic/mIoU': 0.6, 'val_loss': 2.5, 'data_time': 0.1, 'step': 1},
    epoch(2, 30, loss=1.0),
    epoch(2, 40, loss=2.0),
    {'semantic/mIoU': 0.8, 'train/semantic/mIoU': 0.75, 'val_loss': 2.0, 'step': 2},
    epoch(3, 50, loss=1.0),
    {'semantic/mIoU': 0.7, 'train/semantic/mIoU': 0.9, 'val_loss': 2.25, 'step': 3},
)
ITERATIONS = (
    {'loss': 3.0, 'iter': 50, 'step': 50},
    {'coco/segm_mAP': 0.1, 'agnostic/segm_mAP': 0.2, 'step': 0},
    {'loss': 2.0, 'iter': 100, 'step': 100},
    {'loss': 1.0, 'iter': 150, 'step': 150},
    {'coco/segm_mAP': 0.3, 'agnostic/segm_mAP': 0.4, 'step': 0},
)


def test_epochs_both_sides(tmp_path):
    log = read_training_log(write(tmp_path, *EPOCHS), 'run')
    assert log.unit == 'epoch'
    assert log.training['loss'] == [(1, 3.0), (2, 1.5), (3, 1.0)], 'means of the epochs'
    assert log.validation['loss'] == [(1, 2.5), (2, 2.0), (3, 2.25)]
    assert log.training['semantic/mIoU'] == [(1, 0.6), (2, 0.75), (3, 0.9)]
    assert log.validation['semantic/mIoU'] == [(1, 0.5), (2, 0.8), (3, 0.7)]
    assert log.metrics == ['lr', 'loss', 'semantic/mIoU', 'data_time']


def test_iterations(tmp_path):
    log = read_training_log(write(tmp_path, *ITERATIONS), 'run')
    assert log.unit == 'iteration'
    assert log.training == {'loss': [(50, 3.0), (100, 2.0), (150, 1.0)]}
    assert log.validation == {'coco/segm_mAP': [(50, 0.1), (150, 0.3)], 'agnostic/segm_mAP': [(50, 0.2), (150, 0.4)]}


def test_validations_that_say_their_iteration(tmp_path):
    """As LoggerHook(log_metric_by_epoch=False) writes them, between two records of the training."""
    log = read_training_log(write(tmp_path, ITERATIONS[0], {'x': 1.0, 'step': 75}, ITERATIONS[2]), 'run')
    assert log.validation == {'x': [(75, 1.0)]} and log.training['loss'] == [(50, 3.0), (100, 2.0)]


def test_names_with_their_hierarchy(tmp_path):
    """As LogProcessor(log_with_hierarchy=True) writes them."""
    log = read_training_log(
        write(tmp_path, {'train/loss': 3.0, 'iter': 5, 'step': 5}, {'val/val_loss': 2.0, 'val/train/x': 1.0, 'step': 0}), 'run'
    )
    assert log.training == {'loss': [(5, 3.0)], 'x': [(5, 1.0)]} and log.validation == {'loss': [(5, 2.0)]}


def test_a_resumed_training_is_one(tmp_path):
    write(tmp_path, *ITERATIONS)
    write(tmp_path, {'loss': 7.0, 'iter': 100, 'step': 100}, {'coco/segm_mAP': 0.5, 'step': 0}, part='20260102_000000')
    log = read_training_log(tmp_path, 'run')
    assert log.training == {'loss': [(50, 3.0), (100, 7.0)]}
    assert log.validation['coco/segm_mAP'] == [(50, 0.1), (100, 0.5)]


def test_what_is_no_number_is_left_out(tmp_path):
    log = read_training_log(write(tmp_path, {'a': None, 'b': 'text', 'c': True, 'd': 1, 'iter': 1, 'step': 1}), 'run')
    assert log.metrics == ['d']


def test_nothing_stands_in_for_an_undefined_value(tmp_path):
    """A class that is never found has no precision."""
    rows = [{'precision': value, 'step': step} for step, value in ((1, 0.5), (2, math.nan))]
    log = read_training_log(write(tmp_path, *rows), 'run')
    assert log_rows([log], ['precision'])[1:] == [['run', 'precision', '2', '', 'nan', '', '0.5', '1']]
    assert best_point([(1, math.nan), (2, math.inf)], 'precision') is None


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r'no \*/vis_data/scalars\.json in it; give the work directory'):
        read_training_log(tmp_path, 'run')
    path = write(tmp_path, *ITERATIONS) / '20260101_000000' / 'vis_data' / 'scalars.json'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([*lines, '{"loss": 1.0, "it']))
    assert read_training_log(path, 'run').training['loss'][-1] == (150, 1.0), 'a line being written'
    for wrong in ('{"loss": ', '5'):
        path.write_text('\n'.join([lines[0], wrong, *lines[2:]]))
        with pytest.raises(ValueError, match=r'scalars\.json, line 2: not a JSON object'):
            read_training_log(path, 'run')
    path.write_text('')
    with pytest.raises(ValueError, match='holds no values yet'):
        read_training_log(path, 'run')


def test_metrics_are_chosen_by_patterns(tmp_path):
    logs = [read_training_log(write(tmp_path / str(index), *rows), str(index)) for index, rows in enumerate((EPOCHS, ITERATIONS))]
    assert choose_metrics(logs[1:]) == ['loss', 'coco/segm_mAP'] + ['agnostic/segm_mAP']
    assert choose_metrics(logs[:1]) == ['lr', 'loss', 'semantic/mIoU']
    assert choose_metrics(logs[1:], ['agnostic/*', '*mAP', 'loss']) == ['agnostic/segm_mAP', 'coco/segm_mAP', 'loss']
    with pytest.raises(ValueError, match=r"no run has a metric 'mIoU'; there are: lr, loss, semantic/mIoU, data_time"):
        choose_metrics(logs[:1], ['mIoU'])
    with pytest.raises(ValueError, match='one kind at a time \\(0: epochs, 1: iterations\\)'):
        choose_metrics(logs)
    assert choose_metrics([TrainingLog('odd', 'epoch', {'speed': [(1, 1.0)]})]) == ['speed']


def test_table_of_the_last_and_of_the_best_epoch(tmp_path):
    log = read_training_log(write(tmp_path, *EPOCHS), 'run')
    metrics = ['loss', 'lr', 'semantic/mIoU']
    header = ['run', 'metric', 'epoch', 'training', 'validation', 'difference', 'best validation', 'best epoch']
    assert log_rows([log], metrics) == [
        header,
        ['run', 'loss', '3', '1', '2.25', '-1.25', '2', '2'],
        ['run', 'lr', '3', '0.1', '', '', '', ''],
        ['run', 'semantic/mIoU', '3', '0.9', '0.7', '0.2', '0.8', '2'],
    ]
    assert log_rows([log], metrics, judge='loss')[1:] == [
        ['run', 'loss', '2', '1.5', '2', '-0.5', '2', '2'],
        ['run', 'lr', '2', '0.1', '', '', '', ''],
        ['run', 'semantic/mIoU', '2', '0.75', '0.8', '-0.05', '0.8', '2'],
    ]
    with pytest.raises(ValueError, match="run has no validation of 'lr'; it has: semantic/mIoU, loss, data_time"):
        log_rows([log], metrics, judge='lr')


def test_a_row_for_each_run_that_has_the_metric(tmp_path):
    logs = [
        read_training_log(write(tmp_path / 'a', *ITERATIONS), 'a'),
        TrainingLog('b', 'iteration', {'loss': [(10, 0.5), (20, 0.25)]}),
    ]
    rows = log_rows(logs, ['loss', 'coco/segm_mAP'])
    assert [row[:5] for row in rows[1:]] == [
        ['a', 'loss', '150', '1', ''],
        ['a', 'coco/segm_mAP', '150', '', '0.3'],
        ['b', 'loss', '20', '0.25', ''],
    ]


def test_the_best_of_errors_is_the_lowest_and_the_first():
    points = [(1, 3.0), (2, 1.0), (3, 1.0), (4, 3.0)]
    for metric in ('loss', 'loss_var', 'depth/rmse', 'depth/abs_rel', 'mse'):
        assert best_point(points, metric) == (2, 1.0)
    for metric in ('coco/segm_mAP', 'semantic/precision_building'):
        assert best_point(points, metric) == (1, 3.0)


@pytest.mark.parametrize('count', [1, 5])
def test_plot(tmp_path, count):
    log = read_training_log(write(tmp_path, *EPOCHS), 'run')
    metrics = ['loss', 'lr', 'semantic/mIoU', 'data_time'][: min(count, 4)]
    plot_logs(tmp_path / 'curves.png', [log] * count, metrics)
    assert (tmp_path / 'curves.png').stat().st_size > 5000
