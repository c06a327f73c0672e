"""Counts, in any COCO file, the instances that share a cell of SOLO's grids with another one, and those that lose their cells to others."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from _arguments import positive
from mmengine.config import Config
from rich.console import Console
from rich.progress import track

from mmext_instseg.evaluation.collisions import Collisions, GridFile, GridSettings, collision_rows, plot_collisions
from mmext_instseg.visualization import markdown_table, print_table, write_csv

EXAMPLE = """examples:
  python tools/collisions.py --ann data/coco/annotations/instances_val2017.json --out work_dirs/collisions
  python tools/collisions.py --ann data/taco/annotations.json --config configs/aml_solov2/aml_solov2_r50_40e_coco.py
  python tools/collisions.py --ann data/taco/annotations.json --scale 1333 800

FILE is COCO instances or LVIS JSON; no image is opened. Grids, scale ranges and the size of the images are those of a CONFIG with a SOLO
head (the scale of its test pipeline), by default SOLOv2's at 1333x800.
Columns: instances that claim cells of a grid (an instance mostly does so at two levels); those that another instance claims a cell of
too; those whose cells there all go to a later instance of the file, as mmdet assigns them; cells claimed by anyone, and by several. The
last row is of all levels: who claims, shares or keeps a cell anywhere. With --out also collisions.csv, collisions.md and collisions.png."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ann', type=Path, required=True, metavar='FILE', help='COCO or LVIS annotations')
    parser.add_argument('--config', type=Path, metavar='CONFIG', help='a config with a SOLO head')
    parser.add_argument('--scale', type=positive(int), nargs=2, metavar=('LONG', 'SHORT'), help='longest and shortest side of the images')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for table and plot')
    return parser.parse_args()


def read_settings(path: Path, scale: Sequence[int] | None) -> GridSettings:
    """Grids of a config, on images of a (longest, shortest) side or, by default, of its test pipeline's size.

    Raises:
        ValueError: its model has no SOLO head; its test pipeline resizes without a `scale`.
    """
    config = Config.fromfile(path)
    head = config.get('model', {}).get('mask_head') or {}
    if not {'num_grids', 'scale_ranges'} <= head.keys():
        raise ValueError(f'{path}: model.mask_head has no num_grids and scale_ranges; give a config with a SOLO head')
    resizes = [step for step in config.test_dataloader.dataset.pipeline if step.type.endswith('Resize')][:1]
    size: dict = dict(scale=scale)
    if resizes and not scale:
        found = resizes[0].get('scale')
        size = dict(scale=(found, found) if isinstance(found, int) else found, keep_ratio=resizes[0].get('keep_ratio', False))
        if found is None:
            raise ValueError(f'{path}: {resizes[0].type} of the test pipeline has no scale; give --scale LONG SHORT')
    return GridSettings(
        num_grids=head.num_grids,
        scale_ranges=head.scale_ranges,
        pos_scale=head.get('pos_scale', GridSettings.pos_scale),
        **size,
        divisor=config.model.data_preprocessor.get('pad_size_divisor', 1),
    )


def main() -> None:
    args = parse_args()
    try:
        settings = read_settings(args.config, args.scale) if args.config else GridSettings(scale=args.scale or GridSettings.scale)
        images, counts = GridFile(args.ann, settings), Collisions(settings)
        for instances, shape in track(images, 'Assigning', console=Console(stderr=True)):
            counts.add(instances, shape)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    rows = collision_rows(counts)
    print_table(rows)
    at = f'{settings.scale[0]}x{settings.scale[1]}' if settings.scale else 'their own size'
    nowhere = counts.instances - int(counts.assigned[-1])
    print(f'{counts.instances:,} instances, {nowhere:,} of them at no level, in {counts.images:,} images at {at}')
    print(f'{counts.affected:,} images with a contested cell')
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        write_csv(args.out / 'collisions.csv', rows)
        (args.out / 'collisions.md').write_text(markdown_table(rows))
        plot_collisions(args.out / 'collisions.png', counts)
        print(*(args.out / f'collisions.{ending}' for ending in ('csv', 'md', 'png')), sep='\n')


if __name__ == '__main__':
    main()
