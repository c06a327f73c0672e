"""What a race and the memory of attention show, as tables and as a plot."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .attention import AttentionMemory
from .race import INFERENCE, Lap

_MIB = 2**20


def race_rows(laps: Sequence[Lap]) -> list[list[str]]:
    """A row a detector: milliseconds of the first, ratios (lowest to highest) of the others; then MiB with their ratio."""
    parts = list(dict.fromkeys(lap.part for lap in laps))
    with_memory = [part for part in parts if part != INFERENCE]
    rows = [['', *parts, *(f'MiB {part}' for part in with_memory)]]
    for name in dict.fromkeys(lap.name for lap in laps):
        own = {lap.part: lap for lap in laps if lap.name == name}
        first = name == laps[0].name
        times = [f'{1e3 * statistics.median(own[part].seconds):.0f} ms' if first else _ratio(own[part]) for part in parts]
        rows.append([name, *times, *(_memory(own[part], first) for part in with_memory)])
    return rows


def _ratio(lap: Lap) -> str:
    return f'{lap.median:.2f} ({min(lap.ratios):.2f} to {max(lap.ratios):.2f})'


def _memory(lap: Lap, first: bool) -> str:
    size = f'{(lap.peak or 0) / _MIB:.1f}'
    return size if first else f'{size} ({lap.peak_ratio:.2f})'


def lap_rows(laps: Sequence[Lap]) -> list[list[str]]:
    """A row a detector and part, with all that was measured of it."""
    rows = [['model', 'part', 'ms', 'ratio', 'lowest', 'highest', 'fastest', 'MiB', 'MiB ratio']]
    for lap in laps:
        ratios = (lap.median, min(lap.ratios), max(lap.ratios), lap.fastest)
        figures = [f'{1e3 * statistics.median(lap.seconds):.1f}', *(f'{ratio:.3f}' for ratio in ratios)]
        memory = ['', ''] if lap.peak is None else [f'{lap.peak / _MIB:.1f}', f'{lap.peak_ratio:.3f}']
        rows.append([lap.name, lap.part, *figures, *memory])
    return rows


def attention_rows(measured: Sequence[AttentionMemory]) -> list[list[str]]:
    """A row a stride; 'at least' marks the size of one matrix where its form is too large to be run."""
    rows = [['stride', 'tokens', 'MiB', 'bytes a token', 'N x N MiB']]
    for one in measured:
        matrix = f'{"" if one.measured else "at least "}{one.matrix_peak / _MIB:.1f}'
        rows.append([str(one.stride), str(one.tokens), f'{one.peak / _MIB:.1f}', f'{one.peak / one.tokens:.0f}', matrix])
    return rows


def plot_race(path: Path, laps: Sequence[Lap], claim: float) -> None:
    """Bars of the ratios, with their range, a panel a part.

    Args:
        path: PNG.
        claim: ratio at inference to mark, the paper's own.
    """
    parts = list(dict.fromkeys(lap.part for lap in laps))
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(2.6 * len(parts), 2.4), layout='constrained')
        for axes, part in zip(figure.subplots(1, len(parts), sharey=True), parts, strict=True):
            own = [lap for lap in laps if lap.part == part]
            axes.barh([lap.name for lap in own], [lap.median for lap in own], color=['#999999'] + ['#0072B2'] * (len(own) - 1))
            for place, lap in enumerate(own):
                axes.hlines(place, min(lap.ratios), max(lap.ratios), color='black', linewidth=1)
            axes.axvline(1, color='black', linewidth=0.5)
            if part == INFERENCE:
                axes.axvline(claim, color='#D55E00', linewidth=1, linestyle='--')
                axes.set_title(f"dashed: the paper's own, {claim}", color='#D55E00', fontsize=8)
            axes.set(xlabel=f'{part}, ratio')
        axes.invert_yaxis()
        figure.savefig(path, dpi=150)
