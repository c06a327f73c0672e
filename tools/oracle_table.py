"""What limits a model: its AP beside that with true semantics, true vectors, and both."""

import argparse
import contextlib
import copy
import csv
import io
import sys
from pathlib import Path

import torch
from _model import add_arguments, load_model
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmext_instseg.models.detectors import BottomUpSegmentor

EXAMPLE = """example:
  python tools/oracle_table.py configs/dcme/dcme_tiny_shapes.py work_dirs/first/iter_2000.pth --out work_dirs/first

Prints what each row means. The test pipeline must load the annotations. With --out the table is also written as oracles.csv and
oracles.md."""

ROWS = {'model': (), 'true semantics': ('semantic',), 'true vectors': ('instance',), 'both (ceiling)': ('semantic', 'instance')}
MEANINGS = {
    'model': 'everything predicted',
    'true semantics': 'classes and foreground from the ground truth, vectors predicted; its gain is what the semantic head costs',
    'true vectors': "the instance head's maps from the ground truth, classes predicted; its gain is what the instance head costs",
    'both (ceiling)': "nothing predicted: the best that this representation, its decoding and the maps' size allow",
}
_SHOWN = ('segm_mAP', 'segm_mAP_50', 'PQ')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for oracles.csv and oracles.md')
    return parser.parse_args()


def make_evaluator(cfg: Config, dataset_meta: dict) -> Evaluator:
    """The config's test evaluator, with class-agnostic AP after each mask AP where the config has none."""
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if not any(one['type'] == 'ClassAgnosticCocoMetric' for one in metrics):
        masks = [one for one in metrics if one['type'] == 'CocoMetric' and 'segm' in one.get('metric', ())]
        metrics = metrics + [dict(type='ClassAgnosticCocoMetric', ann_file=one['ann_file']) for one in masks if one.get('ann_file')]
    evaluator = Evaluator(copy.deepcopy(metrics))
    evaluator.dataset_meta = dataset_meta
    return evaluator


@torch.no_grad()
def evaluate(model: BottomUpSegmentor, cfg: Config) -> dict[str, dict[str, float]]:
    """Metrics by row, from one pass over the test data set."""
    loader = Runner.build_dataloader(copy.deepcopy(cfg.test_dataloader), seed=0)
    evaluators = {name: make_evaluator(cfg, loader.dataset.metainfo) for name in ROWS}
    for batch in track(loader, 'Testing', console=Console(stderr=True)):
        data = model.data_preprocessor(batch, False)
        for name, oracle in ROWS.items():
            model.test_settings.oracle = oracle
            samples = model.predict(data['inputs'], data['data_samples'])
            evaluators[name].process(data_samples=samples, data_batch=batch)
    return {name: evaluator.evaluate(len(loader.dataset)) for name, evaluator in evaluators.items()}


def main() -> None:
    args = parse_args()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools and loggers print tables of their own
            cfg, model = load_model(args)
            results = evaluate(model, cfg)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    found = list(dict.fromkeys(key for result in results.values() for key in result))
    keys = [key for key in found if key.rpartition('/')[2] in _SHOWN] or found
    header = ['', *keys]
    cells = [[name, *(f'{result[key]:.3f}' if key in result else 'none' for key in keys)] for name, result in results.items()]
    table = Table()
    for name in header:
        table.add_column(name.replace('/', '\n'), justify='right' if name else 'left', no_wrap=True)
    for row in cells:
        table.add_row(*row)
    meanings = [f'{name}: {MEANINGS[name]}.' for name in results]
    Console().print(table)
    print(*meanings, sep='\n')
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        with (args.out / 'oracles.csv').open('w', newline='') as stream:
            csv.writer(stream).writerows(
                [['row', *found], *([name, *(result.get(key, '') for key in found)] for name, result in results.items())]
            )
        lines = [header, [':--'] + ['--:'] * len(keys), *cells]
        (args.out / 'oracles.md').write_text(
            '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n\n' + ''.join(f'- {line}\n' for line in meanings)
        )
        print(args.out / 'oracles.csv', args.out / 'oracles.md', sep='\n')


if __name__ == '__main__':
    main()
