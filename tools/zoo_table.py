"""A user's own results beside the figures that mmdet's model zoo publishes, in Markdown."""

import argparse
import csv
import json
import statistics
import sys
from importlib.util import find_spec
from pathlib import Path

import mmdet
import yaml

from mmext_instseg.visualization import markdown_table

EXAMPLE = """example:
  python tools/zoo_table.py work_dirs/mine/20260101_120000/20260101_120000.json --zoo "solov2_r50*" "mask-rcnn_r50_fpn_1x_coco"
  python tools/zoo_table.py work_dirs/table/runs.csv configs/dcme/metafile.yml --metrics "mask AP" PQ --out table.md

RESULTS are what tools/test.py writes into its work folder (WORK_DIR/TIME/TIME.json), runs.csv of tools/compare.py (mean over seeds), or a
metafile.yml. The zoo's figures are read from the metafile.yml files of the installed mmdet, never typed by hand; each row names its file.
They were published for COCO val2017 with the zoo's own weights: put beside them only what was tested on the same images."""
#: Names of our metrics -> those of metafiles, in percent there.
METRICS = {
    'coco/segm_mAP': 'mask AP',
    'coco/bbox_mAP': 'box AP',
    'coco_panoptic/PQ': 'PQ',
    'agnostic/segm_mAP': 'class-agnostic mask AP',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', nargs='+', type=Path, metavar='RESULTS', help='.json of test.py, .csv of compare.py, or a metafile.yml')
    parser.add_argument(
        '--zoo', nargs='*', default=['solov2_r50*', 'mask-rcnn_r50_fpn_?x_coco'], metavar='PATTERN', help='model names, with *'
    )
    parser.add_argument('--metrics', nargs='+', default=['mask AP', 'PQ'], metavar='NAME', help='default: "mask AP" PQ')
    parser.add_argument('--out', type=Path, metavar='FILE', help='Markdown file in place of the terminal')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        own = [row for path in args.results for row in read_results(path)]
        text = make_table(own, read_zoo(args.zoo), args.metrics)
        if args.out is None:
            print(text, end='')
        else:
            args.out.write_text(text)
            print(args.out)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


def read_results(path: Path) -> list[dict]:
    """Dicts of name, metrics (percent), data and source."""
    if path.suffix == '.json':
        return read_test(path)
    if path.suffix == '.csv':
        return read_comparison(path)
    if path.suffix in ('.yml', '.yaml'):
        return read_metafile(path)
    raise ValueError(f'{path}: give a .json of test.py, a .csv of compare.py or a metafile.yml')


def read_test(path: Path) -> list[dict]:
    """The last line of mmengine's JSON that has a metric. Named by the work folder's config, of several by the folder."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    found = [line for line in lines if METRICS.keys() & line.keys()]
    if not found:
        raise ValueError(f'{path} has none of {", ".join(METRICS)}; is it the JSON that test.py left in its work folder?')
    configs = list(path.resolve().parents[1].glob('*.py'))  # test.py leaves its config beside the folder of the time
    name = configs[0].stem if len(configs) == 1 else path.resolve().parents[1].name if configs else path.stem
    return [dict(name=name, metrics=renamed(found[-1]), data='', source=str(path))]


def read_comparison(path: Path) -> list[dict]:
    """A row a config: the mean over its seeds."""
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    if not rows or 'config' not in rows[0]:
        raise ValueError(f'{path} has no column `config`; give the runs.csv of tools/compare.py')
    found = []
    for name in dict.fromkeys(row['config'] for row in rows):
        group = [renamed({key: float(row[key]) for key in METRICS if row.get(key)}) for row in rows if row['config'] == name]
        keys = dict.fromkeys(key for one in group for key in one)
        means = {key: statistics.mean(one[key] for one in group if key in one) for key in keys}
        found.append(dict(name=name, metrics=means, data=f'{len(group)} runs', source=str(path)))
    return found


def renamed(metrics: dict) -> dict[str, float]:
    """Metafiles' names and percent; mmdet's PQ is in percent already."""
    scale = {key: 1 if key.endswith('PQ') else 100 for key in METRICS}
    return {METRICS[key]: scale[key] * value for key, value in metrics.items() if key in METRICS}


def read_metafile(path: Path) -> list[dict]:
    """Models with results, a row a data set: the tasks of one data set joined."""
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict | list):
        raise ValueError(f'{path} is no metafile')
    rows = []
    for model in content.get('Models', []) if isinstance(content, dict) else content:
        by_data: dict[str, dict] = {}
        for result in model.get('Results') or ():
            values = {key: value for key, value in (result.get('Metrics') or {}).items() if isinstance(value, int | float)}
            if values:
                by_data.setdefault(result.get('Dataset', ''), {}).update(values)
        rows += [dict(name=model['Name'], metrics=values, data=data, source=str(path)) for data, values in by_data.items()]
    return rows


def read_zoo(patterns: list[str]) -> list[dict]:
    """Models of the installed mmdet whose names match; the source is the metafile, relative to mmdet's `.mim`.

    Raises:
        ValueError: mmdet isn't installed with its metafiles; a pattern matches nothing.
    """
    spec = find_spec('mmdet')
    root = Path(spec.origin).parent / '.mim' if spec is not None and spec.origin else None
    files = sorted(root.glob('configs/*/metafile.yml')) if root is not None else []
    if patterns and not files:
        raise ValueError('mmdet is not installed with its metafiles; see python -m mmext_instseg.check_env')
    models = [{**row, 'source': str(file.relative_to(root))} for file in files for row in read_metafile(file)]
    chosen = []
    for pattern in patterns:
        found = [row for row in models if Path(row['name']).match(pattern)]
        if not found:
            raise ValueError(f'no model of the zoo with results is called {pattern}')
        chosen += [row for row in found if row not in chosen]
    return chosen


def make_table(own: list[dict], zoo: list[dict], metrics: list[str]) -> str:
    """Markdown: the user's rows, then the zoo's with their files.

    Raises:
        ValueError: no row has any of the metrics.
    """
    if not any(name in row['metrics'] for row in own for name in metrics):
        there = sorted({name for row in own for name in row['metrics']})
        raise ValueError(f'no result of yours has {" or ".join(metrics)}; there are: {", ".join(there)}')
    rows = [['', *metrics, 'data', 'source']]
    for row in (*own, *zoo):
        figures = [f'{row["metrics"][name]:.1f}' if name in row['metrics'] else '' for name in metrics]
        published = f'published: {row["source"]}' if row in zoo else row['source']
        rows.append([row['name'], *figures, row['data'], published])
    note = f'Figures marked "published" are those of the named file in mmdet {mmdet.__version__}; nothing of theirs was measured here.\n'
    return f'{markdown_table(rows)}\n{note}' if zoo else markdown_table(rows)


if __name__ == '__main__':
    main()
