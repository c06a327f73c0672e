"""What measurements show, as a table and as a plot."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .measurement import Measurement


def measurement_rows(measurements: Sequence[Measurement], baseline: str) -> list[list[str]]:
    """A header and one row a measurement: medians of the times, the median ratio and its range over the pairs, peak memory.

    Args:
        measurements: with the same columns.
        baseline: what to call it.
    """
    names = ['ms', f'{baseline} ms', 'ratio', 'lowest', 'highest', 'MiB', f'{baseline} MiB', 'ns/pixel', 'bytes/pixel']
    rows = [[*measurements[0].columns, *names]]
    for one in measurements:
        ratios = statistics.median(one.ratios), one.ratios[0], one.ratios[-1]
        figures = [
            *(f'{1e3 * seconds:.1f}' for seconds in (one.ours_seconds, one.baseline_seconds)),
            *(f'{ratio:.2f}' for ratio in ratios),
            *(f'{size / 2**20:.1f}' for size in (one.ours_bytes, one.baseline_bytes)),
            f'{1e9 * one.ours_seconds / one.pixels:.1f}',
            f'{one.ours_bytes / one.pixels:.1f}',
        ]
        rows.append([*map(str, one.columns.values()), *figures])
    return rows


def plot_measurements(path: Path, series: dict[str, list[tuple[int, Measurement]]], baseline: str) -> None:
    """Time (with its range) above, peak memory below, ours and the baseline, on logarithmic axes.

    Args:
        path: PNG.
        series: name of the horizontal axis -> (position, measurement); a column of plots each.
        baseline: what to call it.
    """
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(3.6 * len(series), 5.4), layout='constrained')
        axes = figure.subplots(2, len(series), squeeze=False, sharex='col', sharey='row')
        for column, (name, points) in enumerate(series.items()):
            points = sorted(points, key=lambda point: point[0])
            positions = [position for position, _ in points]
            for way, (label, colour) in enumerate((('tensor operations', '#0072B2'), (baseline, '#D55E00'))):
                runs = [[1e3 * pair[way] for pair in one.seconds] for _, one in points]
                sizes = [(one.ours_bytes, one.baseline_bytes)[way] / 2**20 for _, one in points]
                axes[0, column].plot(positions, [statistics.median(times) for times in runs], 'o-', color=colour, label=label)
                axes[0, column].vlines(positions, [min(times) for times in runs], [max(times) for times in runs], color=colour, alpha=0.5)
                axes[1, column].plot(positions, sizes, 'o-', color=colour, label=label)
            axes[1, column].set(xlabel=name, xscale='log')
            axes[1, column].set_xticks(positions, [f'{position:,}' for position in positions])
            axes[1, column].minorticks_off()
        for row, quantity in zip(axes, ('time / ms', 'peak memory / MiB'), strict=True):
            row[0].set(ylabel=quantity, yscale='log')
            for one in row:
                one.grid(alpha=0.3)
        axes[0, 0].legend(frameon=False)
        figure.savefig(path, dpi=150)
