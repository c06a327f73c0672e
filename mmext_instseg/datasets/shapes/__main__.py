"""Makes a Shapes data set: `python -m mmext_instseg.datasets.shapes data/shapes --variant hard --num-images 100`."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from rich.progress import track

from ..cityscapes.instances import SPLITS
from .cityscapes import make_cityscapes
from .depth import SHAPES_DEPTH
from .folder import SHAPES
from .phrase_files import SHAPES_PHRASES
from .render import VARIANTS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m mmext_instseg.datasets.shapes',
        description='Makes a Shapes data set (images, COCO instances, COCO panoptic) in a folder of its own under OUT and prints its path. '
        'With --cityscapes OUT itself becomes a folder like that of Cityscapes, with gtFine polygons, id PNGs and panoptic PNGs.',
        epilog='example: python -m mmext_instseg.datasets.shapes data/shapes --variant hard --size 128 192 --seed 1 --num-images 100',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('out', metavar='OUT', help='folder of all Shapes data sets (data_root of ShapesDataset)')
    parser.add_argument('--variant', choices=VARIANTS, default='standard', help='does colour say something about class, or nothing')
    parser.add_argument('--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), default=(128, 128), help='pixels')
    parser.add_argument('--seed', type=int, default=0, help='another seed gives other scenes')
    parser.add_argument('--num-images', type=int, default=800, help='how many scenes')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--depth', action='store_true', help='make the depth of these scenes, in a folder beside theirs laid out as NYUv2')
    kind.add_argument(
        '--phrases',
        action='store_true',
        help='make phrases about these scenes, in a folder beside theirs, in the formats of PhraseCut and LVIS',
    )
    kind.add_argument('--cityscapes', choices=SPLITS, metavar='SPLIT', help='write a split of Cityscapes: train, val or test')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    chosen = (args.variant, tuple(args.size), args.seed, args.num_images)
    start = time.monotonic()
    try:
        if args.cityscapes:
            there = Path(args.out, f'shapes_{args.cityscapes}.json').exists()
            folder = make_cityscapes(args.out, args.cityscapes, *chosen, track=show_progress)
        else:
            files = SHAPES_DEPTH if args.depth else SHAPES_PHRASES if args.phrases else SHAPES
            there = files.folder(args.out, *chosen).exists()
            folder = files.make(args.out, *chosen, track=show_progress)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'{folder} was there already' if there else f'{folder}: {args.num_images} scenes in {time.monotonic() - start:.1f} s')


def show_progress(indices: range) -> Iterable[int]:
    return track(indices, 'Making scenes')


if __name__ == '__main__':
    main()
