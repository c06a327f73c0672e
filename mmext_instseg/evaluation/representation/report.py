"""Ceilings as a table and as a plot."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .scores import GROUPS, SIZES, Setting

Results = Sequence[tuple[Setting, Mapping[str, float]]]
_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7')  # Okabe and Ito's


def name_of(setting: Setting) -> str:
    """What a row or line is called."""
    return 'resampling' if setting.codec is None else type(setting.codec).__name__


def ceiling_rows(numbers: Mapping[str, int], results: Results) -> list[list[str]]:
    """A header, how many true instances a column is about, and a row for each setting; '-' where there is nothing to find."""
    columns = list(results[0][1])
    rows = [['stride', 'maps', *columns], ['', 'instances', *(str(numbers[key]) if key in numbers else '' for key in columns)]]
    for setting, scores in results:
        values = ('-' if isnan(scores[key]) else f'{scores[key]:.3f}' for key in columns)
        rows.append([str(setting.stride), name_of(setting), *values])
    return rows


def plot_ceilings(path: Path, results: Results) -> None:
    """Writes a PNG: AP by stride, overall, by size, by touching and by instances per image; the codec beside resampling alone."""
    panels = {'all': ['AP'], 'size': list(SIZES[1:]), 'neighbours': list(GROUPS)[:2], 'instances in the image': list(GROUPS)[2:]}
    if 'PQ' in results[0][1]:
        panels['panoptic'] = ['PQ', 'PQ things', 'PQ stuff']
    strides = list(dict.fromkeys(setting.stride for setting, _ in results))
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(2.6 * len(panels), 3), layout='constrained')
        for axes, (title, keys) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
            seen = [key for key in keys if not all(isnan(scores[key]) for _, scores in results)]
            for key, colour in zip(seen, _COLOURS, strict=False):
                for coded, style in ((False, ':'), (True, '-')):
                    chosen = [(setting, scores[key]) for setting, scores in results if (setting.codec is not None) == coded]
                    label = ', '.join([key] if coded else [key, name_of(chosen[0][0])]) if coded or key == 'AP' else None
                    axes.plot(range(len(strides)), [value for _, value in chosen], f'o{style}', color=colour, markersize=4, label=label)
            axes.set(xticks=range(len(strides)), xticklabels=strides, xlabel='stride of the maps', title=title, ylim=(0, 1.02))
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, loc='lower left')
        figure.axes[0].set_ylabel('decode(encode(truth)), AP or PQ')
        figure.savefig(path, dpi=150)
