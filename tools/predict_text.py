"""Instances of what phrases mean, found in images and drawn."""

import argparse
import sys
from pathlib import Path

from _arguments import positive
from _model import add_arguments
from mmengine.config import Config
from rich.progress import track

from mmext_instseg.inference import PhraseResult, TextQueryInferencer, read_image
from mmext_instseg.visualization import contact_sheet, draw_panel

EXAMPLE = """example:
  python tools/predict_text.py my_lvis.py work_dirs/my_lvis/epoch_3.pth dogs/*.jpg --text "a dog" "the red ball" --out found

Takes any InstanceCLIPSeg. OUT gets NAME.png for each image: a row for each phrase. The number of instances and their scores are printed."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('images', type=Path, nargs='+', metavar='IMAGE', help='image files')
    parser.add_argument('--text', nargs='+', required=True, metavar='PHRASE', help='what to find')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--batch-size', type=positive(int), default=1, metavar='N', help='images at once (default: 1)')
    parser.add_argument('--score', type=float, default=0.3, help='least score of an instance (default: 0.3)')
    return parser.parse_args()


def picture_file(out: Path, image: Path) -> Path:
    return out / f'{image.stem}.png'


def check_files(args: argparse.Namespace) -> None:
    """Raises before the work begins: an image that isn't there, two of one name, pictures that are there already."""
    for path in args.images:
        if not path.is_file():
            raise ValueError(f'{path} is not a file')
    if len({path.stem for path in args.images}) < len(args.images):
        raise ValueError('two images would have pictures of the same name; give them to two runs')
    if there := [path for image in args.images if (path := picture_file(args.out, image)).exists()]:
        raise ValueError(f'{there[0]} is there already; move or delete it, or choose another folder with --out')


def draw(path: Path, image: Path, results: list[PhraseResult]) -> None:
    """Writes a row for each phrase."""
    picture = read_image(image)[..., ::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, one in enumerate(results):
        title = f'{image.name}: "{one.phrase}", {len(one)} found'
        rows.append(draw_panel(path.with_suffix(f'.{number}.png'), picture, one.instances, title=title))
    contact_sheet(rows, path, width=1600)
    for row in rows:
        row.unlink()


def main() -> None:
    args = parse_args()
    try:
        check_files(args)
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options)
        find = TextQueryInferencer(cfg, args.checkpoint, args.score, args.device)
        starts = range(0, len(args.images), args.batch_size)
        for start in track(starts, 'images', disable=len(starts) < 2):
            batch = args.images[start : start + args.batch_size]
            for image, results in zip(batch, find(batch, args.text), strict=True):
                draw(picture_file(args.out, image), image, results)
                for one in results:
                    print(f'{image}: "{one.phrase}": {len(one)}, scores {[round(float(score), 2) for score in one.scores]}')
    except (OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*(picture_file(args.out, image) for image in args.images), sep='\n')


if __name__ == '__main__':
    main()
