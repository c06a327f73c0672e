"""What trainings logged, as curves and as a table (embedding_unet_dbscan, Figure 2 and Table 1)."""

import fnmatch
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

#: What is shown unless patterns are given, as far as it is there.
USUAL = ('lr', 'loss', '*/segm_mAP', '*/bbox_mAP', '*/PQ', '*/mIoU', '*/accuracy')
#: The lower the better; all else: the higher.
_LOWER = ('*loss*', '*mse*', '*abs_rel', '*sq_rel', '*silog*', '*log10*')
_POSITIONS = ('iter', 'epoch', 'step')
_COLUMNS = 3
Points = list[tuple[float, float]]


@dataclass
class TrainingLog:
    """The scalars of one training.

    Attributes:
        name: of the run.
        unit: 'epoch' or 'iteration': what positions count.
        training, validation: metric -> (position, value), in order. A training's own values are the mean of each epoch's records, or the
            records of an iteration-based training; `train/x`, by `TrainMetricsHook`, is x in training; `val_x`, by `ValidationLossHook`,
            x in validation.
    """

    name: str
    unit: str
    training: dict[str, Points] = field(default_factory=dict)
    validation: dict[str, Points] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """All names, in the order of the log."""
        return list(dict.fromkeys([*self.training, *self.validation]))


def read_training_log(path: Path, name: str) -> TrainingLog:
    """The log of a work directory, all parts of a resumed training together, or of one scalars.json.

    Where a training began again before the end of what was logged, what followed in the older part is left out.

    Raises:
        ValueError: there is none, it is empty, or a line of it, not the last, isn't a JSON object.
    """
    files = [path] if path.is_file() else sorted(path.glob('*/vis_data/scalars.json'))
    if not files:
        raise ValueError(f'{path}: no */vis_data/scalars.json in it; give the work directory of a training, or such a file')
    rows: list[dict] = []
    iteration, epoch = 0, 0
    for file in files:
        for row in _read_rows(file):
            if 'iter' in row:  # of the training
                if row['iter'] <= iteration:
                    rows = [one for one in rows if one['iter'] < row['iter']]
                iteration, epoch = row['iter'], row.get('epoch', 0)
            else:  # mmengine counts epochs there, which an iteration-based loop has none of
                iteration = max(iteration, row.get('step', 0)) if not epoch else iteration
                row = {**{_validation_name(key): value for key, value in row.items()}, 'iter': iteration, 'epoch': epoch}
            rows.append(row)
    log = TrainingLog(name, 'epoch' if any(row.get('epoch') for row in rows) else 'iteration')
    _fill(log, rows)
    if not log.metrics:
        raise ValueError(f'{path}: the log holds no values yet')
    return log


def _read_rows(path: Path) -> list[dict]:
    rows, lines = [], path.read_text(errors='replace').splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif number < len(lines):  # the last one may be being written
            raise ValueError(f'{path}, line {number}: not a JSON object; give a scalars.json as mmengine writes it')
    return rows


def _validation_name(key: str) -> str:
    """'validation:x' or, of the training data, 'training:x'; positions as they are."""
    if key in _POSITIONS:
        return key
    key = key.removeprefix('val/').removeprefix('val_')
    return f'training:{key.removeprefix("train/")}' if key.startswith('train/') else f'validation:{key}'


def _fill(log: TrainingLog, rows: list[dict]) -> None:
    values: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        at = row['iter' if log.unit == 'iteration' else 'epoch']
        for key, value in row.items():
            if key in _POSITIONS or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            part, colon, metric = key.partition(':')
            values[(part, metric) if colon else ('training', key.removeprefix('train/'))][at].append(value)
    for (part, metric), points in values.items():
        getattr(log, part)[metric] = [(at, statistics.fmean(several)) for at, several in points.items()]


def choose_metrics(logs: Sequence[TrainingLog], patterns: Sequence[str] = ()) -> list[str]:
    """Names that any log has and a pattern matches, in the order of the patterns; `USUAL` without patterns.

    Raises:
        ValueError: a pattern that matches none, with those there are; logs that count differently.
    """
    if len({log.unit for log in logs}) > 1:
        kinds = ', '.join(f'{log.name}: {log.unit}s' for log in logs)
        raise ValueError(f'some runs count epochs and some iterations; give them one kind at a time ({kinds})')
    names = list(dict.fromkeys(name for log in logs for name in log.metrics))
    chosen = []
    for pattern in patterns or USUAL:
        found = fnmatch.filter(names, pattern)
        if patterns and not found:
            raise ValueError(f'no run has a metric {pattern!r}; there are: {", ".join(names)}')
        chosen += found
    return list(dict.fromkeys(chosen)) or names


def best_point(points: Points, metric: str) -> tuple[float, float] | None:
    """The first (position, value) with the lowest value of a loss or error, the highest of all else; None if nothing is finite."""
    lower = any(fnmatch.fnmatch(metric, pattern) for pattern in _LOWER)
    finite = [point for point in points if math.isfinite(point[1])]
    return (min if lower else max)(finite, key=lambda point: point[1], default=None)


def log_rows(logs: Sequence[TrainingLog], metrics: Sequence[str], judge: str | None = None) -> list[list[str]]:
    """A header and a row a run and metric: training, validation and their difference at one position, then the metric's own best.

    The position is that of the best validation of `judge`, or the last one; a metric that wasn't recorded just there has its last value
    before it.

    Raises:
        ValueError: a run has no validation of `judge`.
    """
    unit = logs[0].unit
    rows = [['run', 'metric', unit, 'training', 'validation', 'difference', 'best validation', f'best {unit}']]
    for log in logs:
        at = max(points[-1][0] for points in (log.validation or log.training).values())
        if judge is not None:
            best = best_point(log.validation.get(judge, []), judge)
            if best is None:
                raise ValueError(f'{log.name} has no validation of {judge!r}; it has: {", ".join(log.validation) or "none"}')
            at = best[0]
        for metric in metrics:
            training, validation = (_value_at(part.get(metric, []), at) for part in (log.training, log.validation))
            if training is None and validation is None:
                continue
            difference = None if training is None or validation is None else training - validation
            place, value = best_point(log.validation.get(metric, []), metric) or (None, None)
            rows.append([log.name, metric, *map(_text, (at, training, validation, difference, value, place))])
    return rows


def _value_at(points: Points, at: float) -> float | None:
    before = [value for position, value in points if position <= at]
    return before[-1] if before else None


def _text(value: float | None) -> str:
    return '' if value is None else str(value) if isinstance(value, int) else f'{value:.4g}'


def plot_logs(path: Path, logs: Sequence[TrainingLog], metrics: Sequence[str]) -> None:
    """A panel a metric: a colour a run, dashed in training, solid in validation.

    Args:
        path: PNG.
    """
    colours = style.library['tableau-colorblind10']['axes.prop_cycle'].by_key()['color']
    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(3.2 * columns, 2.4 * rows + 0.3 + 0.15 * len(logs)), layout='constrained')
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, metric in zip(panels, metrics, strict=False):
            for index, log in enumerate(logs):
                _plot_metric(axes, log, metric, colours[index % len(colours)])
            axes.set(title=metric, xlabel=log.unit)
            axes.grid(alpha=0.3)
        for axes in panels[len(metrics) :]:
            axes.set_axis_off()
        keys = [Line2D([], [], color=colours[index % len(colours)], label=log.name) for index, log in enumerate(logs)]
        keys += [Line2D([], [], color='black', linestyle=line, label=label) for line, label in (('--', 'training'), ('-', 'validation'))]
        figure.legend(handles=keys, loc='outside upper center', frameon=False, ncols=min(len(keys), 4))
        figure.savefig(path, dpi=150)


def _plot_metric(axes: Axes, log: TrainingLog, metric: str, colour: str) -> None:
    for part, line in ((log.training, '--'), (log.validation, '-')):
        points = part.get(metric, [])
        if points:
            axes.plot(*zip(*points, strict=True), line, color=colour, linewidth=1, marker='.' if len(points) < 40 else '')
