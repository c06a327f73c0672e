"""What a codec can represent at all: AP (and PQ) of decode(encode(ground truth)) by output stride, without any network or photo."""

import argparse
import sys
from pathlib import Path

from _arguments import positive
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track

from mmext_instseg.codecs import BaseCodec
from mmext_instseg.evaluation.representation import RepresentationCeiling, Setting, TruthFile, ceiling_rows, plot_ceilings
from mmext_instseg.registry import TASK_UTILS
from mmext_instseg.visualization import markdown_table, print_table, write_csv

EXAMPLE = """examples:
  python tools/representation_ceiling.py --ann data/coco/annotations/instances_val2017.json --out work_dirs/ceiling
  python tools/representation_ceiling.py --ann data/coco/annotations/panoptic_val2017.json --codec DCMECodec --codec-options peak_radius=3

FILE is COCO instances, LVIS, or COCO panoptic JSON (its PNGs in the folder of the same name, or --segments). 'resampling' is the truth
sampled at the stride and enlarged again, without any codec: what is lost beyond it, the codec loses. Labels come from the truth.
Columns: AP, AP50; AP without classes; AP of small, medium, large objects as in COCO; of objects that touch no other, and that do; of
images with so many instances; PQ where there is stuff. With --out also ceiling.csv, ceiling.md and ceiling.png."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ann', type=Path, required=True, metavar='FILE', help='COCO, LVIS or COCO panoptic annotations')
    parser.add_argument('--segments', type=Path, metavar='DIR', help='PNGs of a panoptic file (default: folder beside it, of its name)')
    parser.add_argument('--codec', default='DCMECodec', help='its registered name (default: %(default)s)')
    parser.add_argument('--codec-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help="the codec's arguments")
    parser.add_argument('--strides', nargs='+', type=positive(int), default=[1, 2, 4, 8], metavar='N', help='default: 1 2 4 8')
    parser.add_argument('--max-side', type=positive(int), metavar='PIXELS', help='scale larger images down to this')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for table and plot')
    return parser.parse_args()


def build_codec(name: str, stride: int, options: dict) -> BaseCodec:
    """A registered codec at a stride.

    Raises:
        ValueError: no such codec, or an argument that it doesn't take.
    """
    kind = TASK_UTILS.get(name)
    if kind is None or not issubclass(kind, BaseCodec):
        names = sorted(key for key, value in TASK_UTILS.module_dict.items() if issubclass(value, BaseCodec))
        raise ValueError(f'--codec {name}: no such codec; there are {", ".join(names)}')
    try:
        return kind(**{**kind.arguments_at(stride), **options})
    except TypeError as error:
        raise ValueError(f'--codec-options: {error}') from None


def measure(args: argparse.Namespace) -> RepresentationCeiling:
    settings = []
    for stride in dict.fromkeys(args.strides):
        settings += [Setting(stride, None), Setting(stride, build_codec(args.codec, stride, args.codec_options))]
    truth = TruthFile(args.ann, args.segments, args.max_side)
    ceiling = RepresentationCeiling(truth.categories, settings)
    for image in track(truth, 'Encoding and decoding', console=Console(stderr=True)):
        ceiling.add(image)
    return ceiling


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    try:
        ceiling = measure(args)
        settings = track(ceiling.settings, 'Scoring', console=Console(stderr=True))
        results = [(setting, ceiling.scores(setting)) for setting in settings]
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    rows = ceiling_rows(ceiling.numbers(), results)
    print_table(rows)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        write_csv(args.out / 'ceiling.csv', rows)
        (args.out / 'ceiling.md').write_text(markdown_table(rows))
        plot_ceilings(args.out / 'ceiling.png', results)
        print(*(args.out / f'ceiling.{ending}' for ending in ('csv', 'md', 'png')), sep='\n')


if __name__ == '__main__':
    main()
