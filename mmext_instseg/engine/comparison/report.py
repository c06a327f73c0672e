"""What a comparison found: rows as CSV, mean and standard deviation as a table, dots and curves as a plot."""

import csv
import fnmatch
import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from .runs import Run, curve

CSV_NAME, TABLE_NAME, PLOT_NAME = 'runs.csv', 'table.md', 'plot.png'
_COLUMNS = ('config', 'seed', 'iterations', 'max_iters', 'cut', 'seconds', 'wall_seconds', 'parameters')
_USUAL = ('segm_mAP', 'bbox_mAP', 'PQ', 'mIoU')
# Okabe and Ito's colours, which stay apart for colour-blind readers, black and grey.
_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#999999')


def write_report(out: Path, runs: dict[Run, dict], metrics: Sequence[str] = ()) -> tuple[Table, list[str]]:
    """Writes runs.csv (one row a run, all metrics), table.md and plot.png.

    Args:
        out: folder for the three files.
        runs: finished runs and their results as `execute` returns them; at least one.
        metrics: names of the metrics in table and plot; none: the usual ones that are there. `prefix/*` stands for all that begin so: a
            column each, and one line a config over them in the plot.

    Returns:
        The table for the terminal, and notes on what the reader must know.

    Raises:
        ValueError: a metric that no run has; runs.csv is written all the same.
    """
    results = [one for group in _by_config(list(runs.values())).values() for one in group]
    found = list(dict.fromkeys(name for result in results for name in result['metrics']))
    _write_csv(out / CSV_NAME, results, found)
    panels = {name: fnmatch.filter(found, name) if name.endswith('/*') else [one for one in found if one == name] for name in metrics}
    if missing := [name for name, columns in panels.items() if not columns]:
        raise ValueError(f'no run has the metric {missing[0]!r}; there are: {", ".join(found) or "none"}')
    panels = panels or {name: [name] for name in [name for name in found if name.rpartition('/')[2] in _USUAL] or found}
    chosen = list(dict.fromkeys(name for columns in panels.values() for name in columns))
    header, rows = ['config', 'runs', 'iterations', 'seconds', *chosen], _summarise(results, chosen)
    notes = _notes(results, chosen)
    lines = [header, [':--'] + ['--:'] * (len(header) - 1), *rows]
    text = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    (out / TABLE_NAME).write_text('\n\n'.join([text, *notes]) + '\n')
    table = Table(caption='mean ± standard deviation over seeds')
    for name in header:
        is_name = name == 'config'
        table.add_column(
            name.replace('/', '\n'),
            justify='left' if is_name else 'right',
            overflow='fold',
            no_wrap=not is_name,
            min_width=24 if is_name else None,
        )
    for row in rows:
        table.add_row(*row)
    _plot(out / PLOT_NAME, runs, panels)
    return table, notes


def _write_csv(path: Path, results: list[dict], metrics: list[str]) -> None:
    with path.open('w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow([*_COLUMNS, *metrics])
        for result in results:
            writer.writerow([*(result[name] for name in _COLUMNS), *(result['metrics'].get(name, '') for name in metrics)])


def _by_config(results: list[dict]) -> dict[str, list[dict]]:
    return {name: [one for one in results if one['config'] == name] for name in dict.fromkeys(one['config'] for one in results)}


def _summarise(results: list[dict], metrics: list[str]) -> list[list[str]]:
    rows = []
    for name, group in _by_config(results).items():
        low, high = min(one['iterations'] for one in group), max(one['iterations'] for one in group)
        made = f'{low}' if low == high else f'{low} to {high}'
        mark = ' (cut)' if any(one['cut'] for one in group) else ''
        seconds = statistics.mean(one['seconds'] for one in group)
        rows.append([name, str(len(group)), made + mark, f'{seconds:.0f}', *(_mean_and_deviation(group, metric) for metric in metrics)])
    return rows


def _mean_and_deviation(group: list[dict], metric: str) -> str:
    """'mean ± sample standard deviation', the mean alone of one run, and how many runs it is of where not all have the metric."""
    values = [one['metrics'][metric] for one in group if metric in one['metrics']]
    if not values:
        return 'none'
    text = f'{statistics.mean(values):.3f}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):.3f}'
    return text if len(values) == len(group) else f'{text} ({len(values)} of {len(group)} runs)'


def _notes(results: list[dict], metrics: list[str]) -> list[str]:
    notes = []
    cut = sum(one['cut'] for one in results)
    if cut:
        notes.append(f'{cut} of {len(results)} runs were cut by the time budget, before their learning rate had come down.')
    if len({one['iterations'] for one in results}) > 1:
        notes.append('The runs made different numbers of iterations: this table compares budgets in seconds on this machine, not methods.')
    if any(metric not in one['metrics'] for one in results for metric in metrics):
        notes.append("A run without a value had no result to evaluate (mmdet's CocoMetric gives none where nothing was predicted).")
    return notes


def _plot(path: Path, runs: dict[Run, dict], panels: dict[str, list[str]]) -> None:
    groups = _by_config(list(runs.values()))
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(groups)}
    single = [columns[0] for name, columns in panels.items() if not name.endswith('/*')]
    series = {name: columns for name, columns in panels.items() if name.endswith('/*')}
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(10, 3.6 + 0.3 * len(groups) + 2.6 * len(series)), layout='constrained')
        heights = [1 + 0.3 * len(groups), 2.6] + [2.6] * len(series)
        top, bottom, *more = figure.subfigures(len(heights), 1, height_ratios=heights)
        dots = top.subplots(1, max(len(single), 1), sharey=True, squeeze=False)[0]
        for axes, metric in zip(dots, single, strict=False):
            _plot_metric(axes, groups, colours, metric)
        for label in dots[0].get_yticklabels():
            label.set_color(colours.get(label.get_text(), 'black'))
        loss, score = bottom.subplots(1, 2)
        _plot_curves(loss, runs, colours, 'loss')
        loss.set(ylabel='training loss', yscale='log')
        first = next(iter(panels.values()), [])[:1]
        for metric in first:
            _plot_curves(score, runs, colours, metric)
            score.set_ylabel(f'{metric} in validation')
        for part, (name, columns) in zip(more, series.items(), strict=True):
            _plot_series(part.subplots(), groups, colours, name, columns)
        figure.savefig(path, dpi=150)


def _plot_series(axes: Axes, groups: dict[str, list[dict]], colours: dict[str, str], name: str, columns: list[str]) -> None:
    """Mean over the seeds of each metric, a line a config; bars from the lowest to the highest seed."""
    for config, group in groups.items():
        values = [[one['metrics'].get(column, float('nan')) for column in columns] for one in group]
        low, mean, high = ([pick(column) for column in zip(*values, strict=True)] for pick in (min, statistics.mean, max))
        ends = [[m - one for m, one in zip(mean, low, strict=True)], [one - m for m, one in zip(mean, high, strict=True)]]
        axes.errorbar(range(len(columns)), mean, ends, color=colours[config], marker='.', linewidth=1, capsize=2)
    axes.set(xticks=range(len(columns)), xticklabels=[column.removeprefix(name[:-1]) for column in columns], title=name, ylim=(0, None))
    axes.grid(axis='y', alpha=0.3)


def _plot_metric(axes: Axes, groups: dict[str, list[dict]], colours: dict[str, str], metric: str) -> None:
    """A dot a seed, a bar through their mean; the names, in their colours, are the legend of all panels."""
    for row, (name, group) in enumerate(groups.items()):
        values = [one['metrics'][metric] for one in group if metric in one['metrics']]
        axes.plot(values, [row] * len(values), 'o', color=colours[name], alpha=0.6, markeredgewidth=0, clip_on=False)
        if values:
            axes.plot([statistics.mean(values)] * 2, [row - 0.25, row + 0.25], color=colours[name], linewidth=2)
    axes.set(yticks=range(len(groups)), yticklabels=list(groups), ylim=(len(groups) - 0.5, -0.5), title=metric)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]) if axes.dataLim.x0 < 0 else 0)
    axes.grid(axis='x', alpha=0.3)


def _plot_curves(axes: Axes, runs: dict[Run, dict], colours: dict[str, str], key: str) -> None:
    """A scalar over the iterations, a line a run, a colour a config."""
    for run in runs:
        points = [(row['step'], row[key]) for row in curve(run.folder) if key in row and 'step' in row]
        axes.plot(*zip(*points, strict=True) if points else ([], []), color=colours[run.name], linewidth=1, alpha=0.8, marker='.')
    axes.set_xlabel('iteration')
    axes.grid(alpha=0.3)
