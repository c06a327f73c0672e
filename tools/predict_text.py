"""Instances of what phrases mean, found in images and drawn."""

import argparse
import sys
import tempfile
from pathlib import Path

from _arguments import positive
from _model import add_arguments
from mmengine.config import Config
from rich.progress import track

from mmext_instseg.inference import TextQueryInferencer
from mmext_instseg.visualization import contact_sheet

EXAMPLE = """example:
  python tools/predict_text.py my_lvis.py work_dirs/my_lvis/epoch_3.pth dogs/*.jpg --text "a dog" "the red ball" --out found

Takes any InstanceCLIPSeg. OUT gets NAME.png for each image: a row for each phrase, and with --also for each model. The number of instances
and their scores are printed. Centres, distances and result of several decoders, one below the other:
  python tools/predict_text.py c1.py c1.pth dog.jpg --also c2.py c2.pth --also c5.py c5.pth --text "a dog" --maps --out found"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('images', type=Path, nargs='+', metavar='IMAGE', help='image files')
    parser.add_argument('--text', nargs='+', required=True, metavar='PHRASE', help='what to find')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--batch-size', type=positive(int), default=1, metavar='N', help='images at once (default: 1)')
    parser.add_argument('--score', type=float, default=0.3, help='least score of an instance (default: 0.3)')
    parser.add_argument(
        '--also', nargs=2, type=Path, action='append', default=[], metavar=('CONFIG', 'CHECKPOINT'), help='another model; repeatable'
    )
    parser.add_argument('--maps', action='store_true', help='also draw mask, centres and the four distances')
    return parser.parse_args()


def picture_file(out: Path, image: Path) -> Path:
    return out / f'{image.stem}.png'


def check_files(args: argparse.Namespace) -> None:
    """Raises before the work begins: an image that isn't there, two of one name, models of one name, pictures that are there already."""
    for path in args.images:
        if not path.is_file():
            raise ValueError(f'{path} is not a file')
    if len({path.stem for path in args.images}) < len(args.images):
        raise ValueError('two images would have pictures of the same name; give them to two runs')
    models = [args.config.stem, *(config.stem for config, _ in args.also)]
    if double := {name for name in models if models.count(name) > 1}:
        raise ValueError(f'two models have configs of the name {double.pop()!r}; rename one')
    if there := [path for image in args.images if (path := picture_file(args.out, image)).exists()]:
        raise ValueError(f'{there[0]} is there already; move or delete it, or choose another folder with --out')


def open_models(args: argparse.Namespace) -> dict[str, TextQueryInferencer]:
    """The models by what tells them apart after an image's name: nothing where there is one, else their configs' names."""
    models = {}
    for config, checkpoint in [(args.config, args.checkpoint), *args.also]:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(args.cfg_options)
        models[f', {config.stem}' if args.also else ''] = TextQueryInferencer(cfg, checkpoint, args.score, args.device)
    return models


def search(models: dict[str, TextQueryInferencer], images: list[Path], args: argparse.Namespace) -> None:
    """Finds the phrases in a batch of images, prints how many, and draws the rows of all models."""
    found = {name: find(images, args.text) for name, find in models.items()}
    for number, image in enumerate(images):
        with tempfile.TemporaryDirectory() as folder:
            rows = []
            for name, find in models.items():
                results = found[name][number]
                rows.append(find.draw(Path(folder, f'{len(rows)}.png'), image, results, args.maps, f'{image.name}{name}'))
                for one in results:
                    print(f'{image}{name}: "{one.phrase}": {len(one)}, scores {[round(float(score), 2) for score in one.scores]}')
            args.out.mkdir(parents=True, exist_ok=True)
            contact_sheet(rows, picture_file(args.out, image), width=1600)


def main() -> None:
    args = parse_args()
    try:
        check_files(args)
        models = open_models(args)
        starts = range(0, len(args.images), args.batch_size)
        for start in track(starts, 'images', disable=len(starts) < 2):
            search(models, args.images[start : start + args.batch_size], args)
    except (OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*(picture_file(args.out, image) for image in args.images), sep='\n')


if __name__ == '__main__':
    main()
