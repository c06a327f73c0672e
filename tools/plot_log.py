"""Curves and a table of what trainings logged: training and validation side by side, over epochs or iterations.

mmdet's analysis_tools/analyze_logs.py draws the logs of mmdet 2's form. This one also reads what mmengine adds: validations of
iteration-based trainings at their iteration; metrics of one name in several evaluators (coco/segm_mAP and agnostic/segm_mAP are one there);
any metric each epoch, not only mAP; the two sides of one metric (ValidationLossHook, TrainMetricsHook) in one panel; resumed trainings; and
it makes the table. For time an iteration use analyze_logs.py cal_train_time."""

import argparse
import sys
from pathlib import Path

from mmext_instseg.visualization import (
    choose_metrics,
    log_rows,
    markdown_table,
    plot_logs,
    print_table,
    read_training_log,
    write_csv,
)

EXAMPLE = """example:
  python tools/plot_log.py work_dirs/buildings --out work_dirs/buildings/curves
  python tools/plot_log.py work_dirs/a work_dirs/b --metrics loss "semantic/*_building" "*/segm_mAP" --best loss

A RUN is the work directory of a training, or a scalars.json of it. OUT gets curves.png, table.md and table.csv. The table holds the last
values, or those where the validation of the metric --best was best: the lowest where it is a loss or an error, else the highest.

Training metrics are in the log where the config has
  custom_hooks = [dict(type='TrainMetricsHook', evaluator=[dict(type='SemanticScores')])]"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN')
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=[],
        metavar='PATTERN',
        help='such as loss or semantic/*; default: learning rate, loss and the usual ones',
    )
    parser.add_argument('--best', metavar='METRIC', help='whose best validation the table shows (default: the last one)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/plot_log'), metavar='DIR', help='default: %(default)s')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        stems = [path.resolve().name if path.is_dir() else str(path) for path in args.runs]
        names = stems if len(set(stems)) == len(stems) else list(map(str, args.runs))
        logs = [read_training_log(path, name) for path, name in zip(args.runs, names, strict=True)]
        metrics = choose_metrics(logs, args.metrics)
        rows = log_rows(logs, metrics, args.best)
        print_table(rows)
        args.out.mkdir(parents=True, exist_ok=True)
        paths = [args.out / name for name in ('curves.png', 'table.md', 'table.csv')]
        plot_logs(paths[0], logs, metrics)
        paths[1].write_text(markdown_table(rows))
        write_csv(paths[2], rows)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*paths, sep='\n')


if __name__ == '__main__':
    main()
