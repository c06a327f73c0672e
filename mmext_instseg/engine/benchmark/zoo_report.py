"""What a race of the zoo shows, as a table and as a plot."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .zoo import Standing

_SCORES = ('AP', 'AP50', 'PQ')
_PARTS = {'network': '#0072B2', 'postprocessing': '#D55E00'}


def ratios_to_first(standings: Sequence[Standing], part: str) -> list[list[float]]:
    """Ratio of each round to the first detector's that ran, its network and post-processing together; [] where nothing ran."""
    running = [one for one in standings if one.problem is None]
    if not running:
        return [[] for _ in standings]
    whole = [sum(pair) for pair in zip(running[0].network, running[0].postprocessing, strict=True)]
    return [[own / first for own, first in zip(getattr(one, part), whole, strict=False)] for one in standings]


def zoo_rows(standings: Sequence[Standing]) -> list[list[str]]:
    """A row a detector, those that couldn't run as well.

    Times are ratios to the whole of the first detector that ran (median, lowest to highest of the rounds).
    """
    rows = [['', 'weights', 'network', 'post-processing', 'parameters/M', 'MiB', *_SCORES, 'problem']]
    columns = [ratios_to_first(standings, part) for part in _PARTS]
    for one, *ratios in zip(standings, *columns, strict=True):
        weights = 'random' if one.entry.checkpoint is None else one.entry.checkpoint.name
        if one.problem is not None:
            rows.append([one.entry.name, weights, *[''] * (len(rows[0]) - 3), one.problem])
            continue
        times = [f'{statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})' for ratio in ratios]
        sizes = [f'{one.parameters / 1e6:.1f}', f'{one.peak / 2**20:.0f}']
        scores = [f'{one.scores[name]:.1f}' if name in one.scores else '' for name in _SCORES]
        rows.append([one.entry.name, weights, *times, *sizes, *scores, ''])
    return rows


def zoo_csv(standings: Sequence[Standing]) -> list[list[str]]:
    """A row a detector and round, in seconds; a row without figures for one that couldn't run."""
    rows = [['model', 'config', 'weights', 'round', 'network s', 'post-processing s', 'parameters', 'peak bytes', *_SCORES, 'problem']]
    for one in standings:
        head = [one.entry.name, one.entry.config, '' if one.entry.checkpoint is None else str(one.entry.checkpoint)]
        scores = [f'{one.scores[name]:.4f}' if name in one.scores else '' for name in _SCORES]
        if one.problem is not None:
            rows.append([*head, *[''] * (len(rows[0]) - 4), one.problem])
        for number, pair in enumerate(zip(one.network, one.postprocessing, strict=True)):
            rows.append([*head, str(number), *(f'{value:.6f}' for value in pair), str(one.parameters), str(one.peak), *scores, ''])
    return rows


def plot_zoo(path: Path, standings: Sequence[Standing]) -> None:
    """Bars of network and post-processing on top of each other as ratios, parameters and memory beside them.

    Args:
        path: PNG.
        standings: those that couldn't run have no bar, only their problem.
    """
    names = [one.entry.name for one in standings]
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(9, 0.6 + 0.28 * len(names)), layout='constrained')
        time, size, memory = figure.subplots(1, 3, sharey=True, width_ratios=(2, 1, 1))
        left = [0.0] * len(names)
        for part, colour in _PARTS.items():
            medians = [statistics.median(ratio) if ratio else 0.0 for ratio in ratios_to_first(standings, part)]
            time.barh(names, medians, left=left, color=colour, label=part.replace('postp', 'post-p'))
            left = [start + width for start, width in zip(left, medians, strict=True)]
        for place, one in enumerate(standings):
            if one.problem is not None:
                time.text(0, place, f' {one.problem[:48]}', va='center', color='#777777')
        size.barh(names, [one.parameters / 1e6 for one in standings], color='#999999')
        memory.barh(names, [one.peak / 2**20 for one in standings], color='#999999')
        time.set(xlabel='time of an image, ratio to the first')
        size.set(xlabel='parameters / M')
        memory.set(xlabel='peak memory of an image / MiB')
        time.legend(frameon=False)
        time.invert_yaxis()
        figure.savefig(path, dpi=150)
