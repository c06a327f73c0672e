"""The tables of the DCME paper, from metrics: a header, then rows of text. '-' stands for a figure that doesn't exist."""

from collections.abc import Mapping

import numpy as np
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

Table = list[list[str]]


def class_ap_table(metrics: Mapping[str, float]) -> Table:
    """Tables I, II, IV: AP and AP50 of each class in per cent; the mean over the classes that have instances last.

    Args:
        metrics: `AP_<class>` and `AP50_<class>` in [0, 1], NaN for a class without instances; other keys are ignored.
    """
    names = _names(metrics, 'AP_')
    values = np.array([[metrics[f'AP_{name}'], metrics[f'AP50_{name}']] for name in names]).reshape(-1, 2)
    known = values[~np.isnan(values[:, 0])]
    mean = known.mean(axis=0) if len(known) else np.full(2, np.nan)
    rows = [[name, *(_percent(value, 1) for value in row)] for name, row in zip([*names, 'mean'], [*values, mean], strict=True)]
    return [['Class', 'AP', 'AP50%'], *rows]


def grid_class_table(metrics: Mapping[str, float]) -> Table:
    """Table III, from the keys of `GridClassAccuracy` without their prefix."""
    rows = []
    for name, ending in [*((name, f'_{name}') for name in _names(metrics, 'accuracy_')), ('total', '')]:
        counts = [f'{metrics[key + ending]:.0f}' for key in ('instances', 'correct')]
        rows.append([name, *counts, _percent(metrics[f'accuracy{ending}'], 2)])
    return [['Class', 'Instances', 'Correct', 'Acc.%'], *rows]


def detection_table(metrics: Mapping[str, float]) -> Table:
    """Table V, from the keys of `DetectionAccuracy` without their prefix; the number of true instances last."""
    rows = [
        [name, f'{metrics[f"detections_{name}"]:.0f}', _percent(metrics[f'accuracy_{name}'], 2)] for name in _names(metrics, 'accuracy_')
    ]
    return [['threshold(%)', 'detections', 'Acc(%)'], *rows, ['instances', f'{metrics["instances"]:.0f}', '']]


def log_table(title: str, table: Table) -> None:
    """Writes a table to mmengine's current logger."""
    MMLogger.get_current_instance().info(f'{title}\n{AsciiTable(table).table}')


def _names(metrics: Mapping[str, float], start: str) -> list[str]:
    return [key.removeprefix(start) for key in metrics if key.startswith(start)]


def _percent(share: float, digits: int) -> str:
    return '-' if np.isnan(share) else f'{100 * share:.{digits}f}'
