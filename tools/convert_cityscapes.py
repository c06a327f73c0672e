"""Converts Cityscapes' instance PNGs to the COCO files of mmdet's CityscapesDataset, and counts DCME's class priority."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmext_instseg.datasets.cityscapes.instances import SPLITS, annotation_names, convert_split
from mmext_instseg.datasets.class_priority import count_instances, write_class_priority
from mmext_instseg.structures import write_json

EXAMPLE = """examples:
  python tools/convert_cityscapes.py data/cityscapes
  python tools/convert_cityscapes.py data/cityscapes --classes car person truck bus rider

Reads leftImg8bit/ and gtFine/*/*/*_gtFine_instanceIds.png under ROOT, for those of train, val and test that are there, and writes
annotations/instancesonly_filtered_gtFine_{train,val,test}.json and annotations/class_priority.json (of train). With --classes the
files' names end in the classes, and the data set takes them in that order: metainfo=dict(classes=('car', 'person', ...)).
Files that are there already are left alone."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, metavar='ROOT', help='folder of Cityscapes')
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='only these of the eight thing classes, in this order')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the files (default: ROOT/annotations)')
    return parser.parse_args()


def convert(root: Path, out: Path, classes: list[str] | None) -> None:
    """Writes the files and prints what is in them.

    Raises:
        ValueError: no split, a file that is there already, or as `convert_split`.
    """
    splits = [split for split in SPLITS if (root / 'leftImg8bit' / split).is_dir()]
    if not splits:
        raise ValueError(f'{root}: no leftImg8bit/train, val or test there; unpack leftImg8bit_trainvaltest.zip')
    names = annotation_names(classes)
    paths = {key: out / name for key, name in names.items() if key in splits or (key == 'priority' and 'train' in splits)}
    if there := [path for path in paths.values() if path.exists()]:
        raise ValueError(f'{there[0]} is there already; move or delete it, or choose another folder with --out')
    for split in splits:
        data = convert_split(root, split, classes, lambda paths, text: track(paths, text, console=Console(stderr=True)))
        write_json(paths[split], data, overwrite=True)
        crowds = Counter(one['iscrowd'] for one in data['annotations'])
        print(f'{paths[split]}: {len(data["images"])} images, {crowds[0]} instances, {crowds[1]} groups')
    if 'priority' in paths:
        write_class_priority(paths['priority'], count_instances(paths['train']))
        print(paths['priority'])
    if classes:
        print(f'In the config: metainfo=dict(classes={tuple(classes)})')


def main() -> None:
    args = parse_args()
    try:
        convert(args.root, args.out or args.root / 'annotations', args.classes)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
