"""Learning tables: trains each config for the same budget and seeds, and tests it."""

import argparse
import ast
import itertools
import signal
import sys
from pathlib import Path
from typing import Any

from _arguments import positive
from mmengine.config import Config, DictAction
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import mmext_instseg  # noqa: F401
from mmext_instseg.engine.comparison import (
    CSV_NAME,
    PLOT_NAME,
    TABLE_NAME,
    Run,
    RunError,
    claim_folder,
    execute,
    finished,
    lock_folder,
    with_budget,
    write_report,
)

EXAMPLE = """example:
  python tools/compare.py configs/dcme/dcme_tiny_shapes.py other.py --iters 500 --budget 120 --seeds 3 --out work_dirs/table

Each run trains and tests in processes of its own, through tools/train.py and tools/test.py, one at a time. Call it again with
the same arguments and finished runs are skipped; a run that was interrupted starts anew. More seeds and more configs may join later;
other settings in the same folder are refused. OUT holds runs.csv (one row a run, all metrics), table.md, plot.png, and for each run
OUT/ROW/seedN with its logs, result.json and train/final.pth.

Equal iterations are what a claim rests on: give --iters, and a --budget that no run exceeds. With --iters N a config of length T (in
iterations) trains for N, and its schedule, warm-up and validation interval shrink or stretch by N / T. A run that --budget stops is
tested as it is and marked as cut. The budget counts training with its validations, neither the start of the program nor the test."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs', nargs='+', type=Path, metavar='CONFIG', help='training configs; their file names are the names of the rows'
    )
    parser.add_argument('--seeds', type=positive(int), default=3, metavar='N', help='train with the seeds 0 to N-1 (default: 3)')
    parser.add_argument(
        '--budget', type=positive(float), metavar='SECONDS', help='at most this wall time for a training (default: no bound)'
    )
    parser.add_argument('--iters', type=positive(int), metavar='N', help="iterations of every run (default: each config's own length)")
    parser.add_argument(
        '--metric', nargs='+', default=[], metavar='KEY', help='metrics of table and plot, such as coco/segm_mAP or iou_by_area/*'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/compare'), metavar='DIR', help='default: work_dirs/compare')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='overrides for every config')
    parser.add_argument(
        '--sweep',
        nargs='+',
        type=sweep,
        default=[],
        metavar='KEYS=VALUES',
        help='also train every config with these keys set to each of these values, both joined by commas, such as optim.lr=1e-3,2e-3',
    )
    return parser.parse_args()


def sweep(text: str) -> list[tuple[str, dict]]:
    """(suffix of the row's name, overrides) of each value in KEY[,KEY...]=VALUE[,VALUE...]; the keys get the same value."""
    keys, _, values = text.partition('=')
    names = keys.split(',')
    if not all(names) or not all(values.split(',')):
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY[,KEY...]=VALUE[,VALUE...]')
    name = names[0].rpartition('.')[2]
    return [(f'-{name}={value}', dict.fromkeys(names, literal(value))) for value in values.split(',')]


def literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def prepare(args: argparse.Namespace) -> dict[str, Config]:
    """Configs with their budget, by the names of their rows."""
    configs = {}
    for path in args.configs:
        if path.stem in configs:
            raise ValueError(f'two configs are called {path.stem}; rename one of the files')
        for suffix, options in [('', {}), *itertools.chain(*args.sweep)]:
            cfg = Config.fromfile(path)
            cfg.merge_from_dict({**args.cfg_options, **options})
            configs[path.stem + suffix] = with_budget(cfg, args.iters, args.budget)
    return configs


def execute_all(runs: list[Run], configs: dict[str, Config], console: Console) -> tuple[dict[Run, dict], list[str]]:
    """Results of the runs that came to an end, and the errors of the others."""
    results, errors = {}, []
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        everything = progress.add_task('all runs', total=len(runs))
        for number, run in enumerate(runs, start=1):
            result = finished(run)
            if result is None:
                current = progress.add_task(str(run), total=configs[run.name].train_cfg.max_iters)
                try:
                    result = execute(run, Path(__file__).parent, lambda step, task=current: progress.update(task, completed=step))
                    console.print(f'[{number}/{len(runs)}] {run}: {describe(result)}', markup=False, highlight=False)
                except RunError as error:
                    errors.append(f'{run}: {error}')
                    console.print(f'[{number}/{len(runs)}] {run} failed: {error}', style='red', markup=False, highlight=False)
                progress.remove_task(current)
            else:
                console.print(f'[{number}/{len(runs)}] {run}: finished before', markup=False, highlight=False)
            if result is not None:
                results[run] = result
            progress.advance(everything)
    return results, errors


def describe(result: dict) -> str:
    cut = ' (cut by the time budget)' if result['cut'] else ''
    return f'{result["iterations"]} iterations in {result["seconds"]:.0f} s{cut}'


def main() -> int:
    args = parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a log has no edge, and a folded table can't be read
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an ordinary exit, so that the running process is ended as well
    try:
        configs = prepare(args)
        with lock_folder(args.out):
            claim_folder(args.out, configs, {'iters': args.iters, 'budget': args.budget})
            # Seeds outside, so that an interrupted table already compares all configs.
            runs = [Run(args.out, name, seed) for seed in range(args.seeds) for name in configs]
            results, errors = execute_all(runs, configs, console)
            if results:
                table, notes = write_report(args.out, results, args.metric)
                console.print(table, *notes, sep='\n')
                for name in (CSV_NAME, TABLE_NAME, PLOT_NAME):
                    console.print(args.out / name)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('interrupted; the same command goes on where it stopped')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
