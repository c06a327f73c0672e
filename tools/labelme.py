"""LabelMe folders: conversion to COCO JSON, splits into training, validation and test images, and class weights."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from mmext_instseg.datasets.labelme import (
    Frame,
    check_classes,
    class_pixels,
    class_weights,
    labelme_to_coco,
    read_frames,
    read_names,
    split_by_density,
    split_by_frame,
    split_rows,
)
from mmext_instseg.datasets.labelme.convert import copy_image, name_below
from mmext_instseg.datasets.labelme.splits import SPLITS
from mmext_instseg.datasets.validation import load_coco
from mmext_instseg.structures.export import write_json, write_text
from mmext_instseg.visualization import markdown_table, print_table

EXAMPLES = {
    'split': """examples:
  python tools/labelme.py split data/buildings --out data/buildings/splits
  python tools/labelme.py split data/flight --out data/flight/splits --by-frame --ratios 80 0 20

Writes train.txt, val.txt and test.txt, which LabelMeDataset takes as ann_file, and report.md. At random, stratified by the number of
objects in an image, with balanced classes; or, with --by-frame, contiguous stretches of a video, whose neighbouring frames show the same
objects and would make the test too easy. Files that are there already are left alone.""",
    'convert': """examples:
  python tools/labelme.py convert data/buildings --out data/buildings/annotations
  python tools/labelme.py convert data/buildings --split data/buildings/splits/{train,val,test}.txt --out data/buildings/annotations

Writes instances.json, or a file named as each list. Polygons are kept; areas and boxes are the masks'. Image ids are those of
LabelMeDataset, so the files serve its metrics as ann_file. file_name is relative to FOLDER (to DIR with --copy-images DIR). Files that are
there already are left alone.""",
    'weights': """examples:
  python tools/labelme.py weights data/buildings --split data/buildings/splits/train.txt
  python tools/labelme.py weights data/coco/annotations/instances_train2017.json

w_c = N_total / (C N_c) by pixels, with the background as the last class, for weighted cross-entropy. SOURCE is a LabelMe folder or a COCO
file. Overlaps and ignored regions don't count.""",
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES['split'].split('\n\n')[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True, metavar='{split,convert,weights}')
    helps = {'split': 'lists of training, validation and test images', 'convert': 'COCO JSON', 'weights': 'class weights by pixels'}
    made = {
        name: commands.add_parser(name, help=text, epilog=EXAMPLES[name], formatter_class=argparse.RawDescriptionHelpFormatter)
        for name, text in helps.items()
    }
    for name, command in made.items():
        command.add_argument('source', type=Path, metavar='SOURCE' if name == 'weights' else 'FOLDER', help='folder of LabelMe JSON')
        command.add_argument('--classes', nargs='+', metavar='CLASS', help='in the order of their labels (default: all, alphabetical)')
        command.add_argument('--skip-labels', nargs='+', default=[], metavar='LABEL', help='labels to leave out')
        command.add_argument('--images', type=Path, metavar='DIR', help='folder of the images, if not where the JSON says')
    made['split'].add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the lists')
    made['split'].add_argument('--ratios', type=float, nargs=3, default=[70, 15, 15], metavar='R', help='default: 70 15 15')
    made['split'].add_argument('--seed', type=int, default=0, help='of the random split (default: 0)')
    made['split'].add_argument('--by-frame', action='store_true', help='contiguous stretches by frame number')
    made['convert'].add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the COCO files')
    made['convert'].add_argument('--split', type=Path, nargs='+', default=[], metavar='LIST', help='lists of images, a COCO file each')
    made['convert'].add_argument('--copy-images', type=Path, metavar='DIR', help='copy the images there, embedded ones too')
    made['weights'].add_argument('--split', type=Path, metavar='LIST', help='list of images')
    return parser.parse_args()


def progress(sequence: Sequence, text: str) -> Iterable:
    return track(sequence, text, console=Console(stderr=True))


def refuse_existing(paths: Iterable[Path]) -> None:
    if there := [path for path in paths if path.exists()]:
        raise ValueError(f'{there[0]} is there already; move or delete it, or choose another folder with --out')


def read(args: argparse.Namespace, names: Sequence[str] | None = None) -> tuple[list[Frame], tuple[str, ...]]:
    frames = read_frames(args.source, names, args.images, progress)
    return frames, check_classes(frames, args.classes, args.skip_labels)


def split(args: argparse.Namespace) -> None:
    """Writes the lists and the report."""
    paths = {name: args.out / f'{name}.txt' for name, ratio in zip(SPLITS, args.ratios, strict=True) if ratio}
    refuse_existing([*paths.values(), args.out / 'report.md'])
    frames, classes = read(args)
    names = [frame.name for frame in frames]
    counts = np.array([[sum(one.label == name for one in frame.objects) for name in classes] for frame in frames])
    drawn = split_by_frame(names, args.ratios) if args.by_frame else split_by_density(counts, args.ratios, args.seed)
    for name, path in paths.items():
        write_text(path, ''.join(f'{one}\n' for one, index in zip(names, drawn, strict=True) if SPLITS[index] == name))
    rows = split_rows(counts, drawn, classes)
    kind = 'Contiguous by frame number' if args.by_frame else f'Stratified by objects per image, seed {args.seed}'
    ratios = ':'.join(f'{ratio:g}' for ratio in args.ratios)
    write_text(args.out / 'report.md', f'{kind}, {ratios}\n\n{markdown_table(rows)}')
    print_table(rows, f'{kind}, {ratios}')
    print(*paths.values(), args.out / 'report.md', sep='\n')


def convert(args: argparse.Namespace) -> None:
    """Writes a COCO file for each list, or one for all."""
    lists = {args.out / f'{path.stem}.json': read_names(path) for path in args.split} or {args.out / 'instances.json': None}
    if len(lists) < len(args.split):
        raise ValueError('two lists have the same name, and so would their COCO files; rename one')
    refuse_existing(lists)
    found = {path: read_frames(args.source, names, args.images, progress) for path, names in lists.items()}
    # Together, so that the files of all splits have the same categories.
    classes = check_classes([frame for frames in found.values() for frame in frames], args.classes, args.skip_labels)
    root = args.images or args.source
    for path, frames in found.items():
        names = {frame.id: copy_image(frame, args.copy_images) if args.copy_images else name_below(frame, root) for frame in frames}
        coco = labelme_to_coco(frames, classes, lambda frame, names=names: names[frame.id])
        write_json(path, coco)
        print(f'{path}: {len(frames)} images, {len(coco["annotations"])} objects')
    print(f'In the config: metainfo=dict(classes={classes})')


def weights(args: argparse.Namespace) -> None:
    """Prints the table and a line for the config."""
    if args.source.is_file():
        if args.split or args.classes or args.skip_labels:
            raise ValueError(f'{args.source} is a COCO file: --split, --classes and --skip-labels are for LabelMe folders')
        coco = load_coco(args.source)
    else:
        frames, classes = read(args, read_names(args.split) if args.split else None)
        coco = labelme_to_coco(frames, classes, lambda frame: frame.name)
    pixels = class_pixels(coco, progress)
    found = class_weights(pixels)
    total = sum(pixels.values())
    rows = [[name, f'{count:,}', f'{count / total:.2%}', f'{found[name]:.4f}'] for name, count in pixels.items()]
    print_table([['class', 'pixels', 'share', 'weight'], *rows])
    print(f'class_weight=[{", ".join(f"{value:.4f}" for value in found.values())}],  # {", ".join(found)}')


def main() -> None:
    args = parse_args()
    try:
        {'split': split, 'convert': convert, 'weights': weights}[args.command](args)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
