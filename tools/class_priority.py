"""Counts the training instances of each class and writes DCME's priority list, which GridClassHead reads."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmext_instseg.datasets.class_priority import count_instances, rank_classes, write_class_priority
from mmext_instseg.models.heads.grid_class_head import read_priority

EXAMPLE = """example:
  python tools/class_priority.py data/coco/annotations/instances_train2017.json --out data/coco/annotations/class_priority.json

ANN is a COCO file (instances or panoptic: its things) or the folder of a Cityscapes split, such as data/cityscapes/gtFine/train. The
class with the fewest instances comes first; of equal ones the earlier class. Crowds don't count. In the config:
model.heads.semantic.priority='data/coco/annotations/class_priority.json'."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ann', type=Path, metavar='ANN', help='training annotations')
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help="the data set's classes in its order (default: all thing classes)")
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='JSON file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        if args.out.exists():
            read_priority(args.out)  # nothing else is overwritten
    except ValueError:
        sys.exit(f'error: {args.out} is there and is no class priority; choose another --out')
    try:
        counts = count_instances(args.ann, args.classes, lambda paths, text: track(paths, text, console=Console(stderr=True)))
        write_class_priority(args.out, counts)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    table = Table('priority', 'class', 'instances')
    for number, name in enumerate(rank_classes(counts)['priority'], 1):
        table.add_row(str(number), name, f'{counts[name]:,}')
    Console().print(table)
    print(args.out)


if __name__ == '__main__':
    main()
