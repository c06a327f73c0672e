"""tools/plot_log.py on logs of a few lines."""

import csv
import json


def write(folder, *losses):
    path = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    rows = []
    for number, loss in enumerate(losses, start=1):
        rows += [{'loss': loss, 'iter': number, 'epoch': number, 'step': number}, {'val_loss': 2 * loss, 'x/mIoU': loss, 'step': number}]
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return folder


def test_table_and_curves(tool, tmp_path):
    runs = [write(tmp_path / 'first', 4.0, 1.0, 2.0), write(tmp_path / 'second', 3.0)]
    out = tmp_path / 'new' / 'out'
    status, text = tool('plot_log.py', *runs, '--best', 'loss', '--out', out)
    assert status == 0, text
    with (out / 'table.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row['run'], row['metric'], row['epoch'], row['training'], row['validation']) for row in rows] == [
        ('first', 'loss', '2', '1', '2'),
        ('first', 'x/mIoU', '2', '', '1'),
        ('second', 'loss', '1', '3', '6'),
        ('second', 'x/mIoU', '1', '', '3'),
    ]
    assert '| first | loss | 2 | 1 | 2 | -1 | 2 | 2 |' in (out / 'table.md').read_text()
    assert (out / 'curves.png').stat().st_size > 5000
    assert text.splitlines()[-3:] == [str(out / name) for name in ('curves.png', 'table.md', 'table.csv')]


def test_runs_of_one_name_keep_their_paths(tool, tmp_path):
    runs = [write(tmp_path / name / 'train', 1.0) for name in 'ab']
    status, _ = tool('plot_log.py', *runs, '--metrics', 'loss', '--out', tmp_path)
    assert status == 0
    assert [line.split(' | ')[0] for line in (tmp_path / 'table.md').read_text().splitlines()[2:]] == [f'| {run}' for run in runs]


def test_bad_arguments(tool, tmp_path):
    run = write(tmp_path / 'run', 1.0)
    for words, message in (
        ((tmp_path,), 'no */vis_data/scalars.json in it; give the work directory of a training'),
        ((tmp_path / 'none',), 'none: no */vis_data/scalars.json'),
        ((run, '--metrics', 'AP'), "error: no run has a metric 'AP'; there are: loss, x/mIoU"),
        ((run, '--best', 'AP'), "error: run has no validation of 'AP'; it has: loss, x/mIoU"),
    ):
        status, _ = tool('plot_log.py', *words, '--out', tmp_path / 'out')
        assert message in status
    assert not (tmp_path / 'out').exists()
