"""What limits a model: its AP beside that with a part of the prediction taken from the ground truth, and the DCME paper's tables."""

import argparse
import contextlib
import copy
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from _model import add_arguments, load_model
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track

from mmext_instseg.evaluation import Table, class_ap_table, detection_table, grid_class_table
from mmext_instseg.models.detectors import BottomUpSegmentor
from mmext_instseg.structures import to_pred_instances
from mmext_instseg.visualization import markdown_table, print_table, write_csv

EXAMPLE = """example:
  python tools/oracle_table.py configs/dcme/dcme_tiny_shapes.py work_dirs/first/iter_2000.pth --out work_dirs/first

Prints what each row means, then Tables I to V of the DCME paper for this model and data set: AP of each class where the config
evaluates with CocoMetric (segm) or CityScapesMetric, detections where it does with CocoMetric. The test pipeline must load the
annotations. With --out the first table is also written as oracles.csv and oracles.md, the others as tables.md and table_*.csv."""

ROWS: dict[str, dict] = {
    'model': {},
    'instance oracle': dict(oracle='instance'),
    'class oracle': dict(oracle='class'),
    'true semantics': dict(true_maps=('semantic',)),
    'true vectors': dict(true_maps=('instance',)),
    'both (ceiling)': dict(true_maps=('semantic', 'instance')),
}
TRUTH = 'ground truth'
MEANINGS = {
    'model': 'everything predicted',
    'instance oracle': 'the true instances, each with the class predicted at its centre of mass',
    'class oracle': 'the predicted instances, each with the class of the true one that it shares most pixels with',
    'true semantics': 'classes and foreground from the ground truth, vectors predicted; its gain is what the semantic head costs',
    'true vectors': "the instance head's maps from the ground truth, classes predicted; its gain is what the instance head costs",
    'both (ceiling)': "nothing predicted: the best that this representation, its decoding and the maps' size allow",
    TRUTH: "the true instances themselves, brought to the size of the network's input and back: what resizing costs",
}
_SHOWN = ('segm_mAP', 'segm_mAP_50', 'mAP', 'AP@50', 'PQ')
_CLASSWISE = {'CocoMetric': 'ClasswiseCocoMetric', 'CityScapesMetric': 'ClasswiseCityScapesMetric'}
_MASK_METRICS = (*_CLASSWISE.values(), 'ClassAgnosticCocoMetric', 'DetectionAccuracy')

# File name: title, row, prefix of the metric (None: that of the AP of each class), how the table is made
PAPER: dict[str, tuple[str, str, str | None, Callable[[dict], Table]]] = {
    'table_1_left': ('Table I, left: model', 'model', None, class_ap_table),
    'table_1_right': ("Table I, right: ground truth at the network's resolution", TRUTH, None, class_ap_table),
    'table_2': ('Table II: instance oracle', 'instance oracle', None, class_ap_table),
    'table_3': ('Table III: classification of the true instances', 'instance oracle', 'grid_class', grid_class_table),
    'table_4': ('Table IV: class oracle', 'class oracle', None, class_ap_table),
    'table_5': ('Table V: detection accuracy', 'model', 'detection', detection_table),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the tables as Markdown and CSV')
    return parser.parse_args()


def make_evaluator(cfg: Config, dataset_meta: dict, row: str) -> Evaluator:
    """The config's test evaluator with AP of each class, and what it lacks of the other tables' metrics.

    Raises:
        ValueError: the config's evaluators only write files.
    """
    given = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    metrics = [dict(one, type=_CLASSWISE.get(one['type'], one['type'])) for one in given if not one.get('format_only')]
    if not metrics:
        raise ValueError(f'{cfg.filename}: test_evaluator has format_only=True and computes nothing; set test_evaluator.format_only=False')
    for one in metrics:
        if 'outfile_prefix' in one:
            one['outfile_prefix'] = None  # a temporary folder: the rows would overwrite each other's files
    masks = [one for one in metrics if one['type'] == 'ClasswiseCocoMetric' and 'segm' in one.get('metric', ())]
    for name in ('ClassAgnosticCocoMetric', 'DetectionAccuracy'):
        if not any(one['type'] == name for one in metrics):
            metrics += [dict({key: one[key] for key in ('ann_file', 'backend_args') if key in one}, type=name) for one in masks[:1]]
    metrics = [one for one in metrics if one['type'] != 'GridClassAccuracy']
    if row == 'instance oracle':
        metrics.append(dict(type='GridClassAccuracy'))
    elif row == TRUTH:
        metrics = [one for one in metrics if one['type'] in _MASK_METRICS]
    evaluator = Evaluator(copy.deepcopy(metrics))
    evaluator.dataset_meta = dataset_meta
    return evaluator


@torch.no_grad()
def evaluate(model: BottomUpSegmentor, cfg: Config) -> dict[str, dict[str, float]]:
    """Metrics by row, from one pass over the test data set and through the network."""
    loader = Runner.build_dataloader(copy.deepcopy(cfg.test_dataloader), seed=0)
    evaluators = {row: make_evaluator(cfg, loader.dataset.metainfo, row) for row in MEANINGS}
    settings = {row: replace(model.test_settings, **{'true_maps': (), 'oracle': None, **change}) for row, change in ROWS.items()}
    for batch in track(loader, 'Testing', console=Console(stderr=True)):
        data = model.data_preprocessor(batch, False)
        samples, shape = data['data_samples'], tuple(data['inputs'].shape[-2:])
        head_maps = model.predict_heads(data['inputs'])
        for row, evaluator in evaluators.items():
            if row == TRUTH:
                show_truth(samples)
            else:
                model.results_from_maps(head_maps, samples, shape, settings[row])
            evaluator.process(data_samples=samples, data_batch=batch)
    return {row: evaluator.evaluate(len(loader.dataset)) for row, evaluator in evaluators.items()}


def show_truth(samples: list) -> None:
    """Puts the true instances, at the original size, in the place of the predicted ones."""
    for sample in samples:
        truth = sample.gt_instance_map.crop(sample.img_shape[:2]).resize(sample.ori_shape[:2])
        sample.pred_instances = to_pred_instances(truth.compact())


def summary_table(results: dict[str, dict[str, float]]) -> Table:
    """A row for each entry of `results`, the metrics most looked at as columns."""
    found = list(dict.fromkeys(key for result in results.values() for key in result))
    keys = [key for key in found if key.rpartition('/')[2] in _SHOWN] or found
    rows = [[name, *(f'{result[key]:.3f}' if key in result else 'none' for key in keys)] for name, result in results.items()]
    return [['', *keys], *rows]


def paper_tables(results: dict[str, dict[str, float]]) -> dict[str, tuple[str, Table]]:
    """(title, table) by file name, of those tables that the metrics suffice for. AP of each class is Cityscapes' own where there is."""
    prefixes = [key.partition('/')[0] for key in results['model'] if key.partition('/')[2].startswith('AP_')]
    source = 'cityscapes' if 'cityscapes' in prefixes else next(iter(prefixes), '')
    tables = {}
    for file, (title, row, prefix, make) in PAPER.items():
        start = f'{prefix or source}/'
        metrics = {key.removeprefix(start): value for key, value in results[row].items() if key.startswith(start)}
        if metrics:
            tables[file] = (title if prefix else f'{title} ({source})', make(metrics))
    return tables


def write(folder: Path, results: dict[str, dict[str, float]], meanings: list[str]) -> list[Path]:
    """Writes all tables; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    found = list(dict.fromkeys(key for result in results.values() for key in result))
    everything = [['row', *found], *([name, *(result.get(key, '') for key in found)] for name, result in results.items())]
    papers = paper_tables(results)
    for file, table in {'oracles': everything, **{file: table for file, (_, table) in papers.items()}}.items():
        write_csv(folder / f'{file}.csv', table)
    (folder / 'oracles.md').write_text(f'{markdown_table(summary_table(results))}\n' + ''.join(f'- {line}\n' for line in meanings))
    (folder / 'tables.md').write_text('\n'.join(f'## {title}\n\n{markdown_table(table)}' for title, table in papers.values()))
    return [folder / name for name in ('oracles.csv', 'oracles.md', *(f'{file}.csv' for file in papers), 'tables.md')]


def main() -> None:
    args = parse_args()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools and loggers print tables of their own
            cfg, model = load_model(args)
            results = evaluate(model, cfg)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    meanings = [f'{row}: {MEANINGS[row]}.' for row in results]
    print_table(summary_table(results))
    print(*meanings, sep='\n')
    for title, table in paper_tables(results).values():
        print(f'\n{title}')
        print_table(table)
    if args.out is not None:
        print(*write(args.out, results, meanings), sep='\n')


if __name__ == '__main__':
    main()
