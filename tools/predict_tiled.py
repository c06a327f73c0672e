"""Instances in images of any size, found tile by tile and joined across the seams."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import mmcv
import numpy as np
from _arguments import image_size, positive
from _model import add_arguments
from mmengine.config import Config

from mmext_instseg.inference import FORMATS, TiledInferencer, read_image, result_file, save_results
from mmext_instseg.structures import InstanceMap
from mmext_instseg.visualization import draw_instances

EXAMPLE = """examples:
  python tools/predict_tiled.py my_buildings.py work_dirs/my_buildings/best.pth flight/*.jpg --out found
  python tools/predict_tiled.py my_buildings.py work_dirs/my_buildings/best.pth map.tif --out found --tile 1024 --overlap 256 \\
      --format geojson --transform 0.1 0 412300 0 -0.1 6190500 --crs EPSG:32637

Takes any instance segmentation model of mmdet. OUT gets coco.json with all images, labelme/NAME.json (LabelMe opens it) and
geojson/NAME.geojson for each, and pictures/NAME.png. The overlap should exceed the largest
object that the model must see as a whole; what is longer is joined as well. Files that are there already are left alone."""

PICTURE_SIDE = 2048  # larger pictures are shrunk: drawing takes about 100 bytes a pixel


def tile_size(text: str) -> tuple[int, int]:
    """A side in pixels, or height x width."""
    return image_size(text if 'x' in text else f'{text}x{text}')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('images', type=Path, nargs='+', metavar='IMAGE', help='image files')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--tile', type=tile_size, default=(512, 512), metavar='SIDE|HxW', help='in pixels (default: 512)')
    parser.add_argument('--overlap', type=positive(int), default=128, metavar='N', help='of neighbouring tiles, in pixels (default: 128)')
    parser.add_argument('--batch-size', type=positive(int), default=1, metavar='N', help='tiles at once (default: 1)')
    parser.add_argument('--score', type=float, default=0.3, help='least score of an instance in a tile (default: 0.3)')
    parser.add_argument('--format', nargs='+', choices=FORMATS, default=list(FORMATS), help='default: all')
    parser.add_argument(
        '--transform',
        type=float,
        nargs=6,
        metavar=tuple('ABCDEF'),
        help="of the GeoJSON, in rasterio's order: x = A col + B row + C, y = D col + E row + F; no exponents: -0.00001, not -1e-5",
    )
    parser.add_argument('--crs', help='coordinate system of the GeoJSON, such as EPSG:32637')
    parser.add_argument('--tolerance', type=float, default=0.0, metavar='PIXELS', help='of LabelMe and GeoJSON outlines (default: 0)')
    args = parser.parse_args()
    if (args.transform or args.crs) and (len(args.images) > 1 or 'geojson' not in args.format):
        parser.error('--transform and --crs are for the GeoJSON of a single image')
    return args


def picture_file(out: Path, image: Path) -> Path:
    return out / 'pictures' / f'{image.stem}.png'


def check_files(args: argparse.Namespace) -> None:
    """Raises before the work begins: an image that isn't there, two of one name, results that are there already."""
    for path in args.images:
        if not path.is_file():
            raise ValueError(f'{path} is not a file')
    named: dict[str, Path] = {}
    for path in args.images:
        if path.stem in named:
            raise ValueError(f'{named[path.stem]} and {path} would have results of the same name; give them to two runs')
        named[path.stem] = path
    for path in args.images:
        if not cv2.haveImageReader(str(path)):
            raise ValueError(f'{path}: not an image that OpenCV can decode')
    paths = [result_file(args.out, kind, image) for image in args.images for kind in args.format]
    if there := [path for path in [*paths, *(picture_file(args.out, image) for image in args.images)] if path.exists()]:
        raise ValueError(f'{there[0]} is there already; move or delete it, or choose another folder with --out')


def draw(path: Path, image: np.ndarray, instances: InstanceMap) -> None:
    """Writes the instances over the image, (H, W, 3) uint8 BGR."""
    scale = min(PICTURE_SIDE / max(image.shape), 1)
    height, width = (max(round(scale * side), 1) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    drawn = draw_instances(small[..., ::-1], instances.resize((height, width)))
    if not mmcv.imwrite(drawn[..., ::-1], str(path)):
        raise ValueError(f'{path} can not be written')


def find(inferencer: TiledInferencer, args: argparse.Namespace, failed: list[str]) -> Iterator[tuple[Path, InstanceMap]]:
    """Predicts and draws one image after the other; those that can't be read are added to `failed`, the others go on."""
    for path in args.images:
        try:
            image = read_image(path)
        except ValueError as error:
            failed.append(str(error))
            continue
        found = inferencer(image)
        draw(picture_file(args.out, path), image, found)
        print(f'{path}: {len(found)} objects')
        yield path, found


def main() -> None:
    args = parse_args()
    try:
        check_files(args)
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options)
        inferencer = TiledInferencer(cfg, args.checkpoint, args.tile, args.overlap, args.batch_size, args.score, device=args.device)
        failed: list[str] = []
        found = find(inferencer, args, failed)
        written = save_results(found, inferencer.classes, args.out, args.format, args.transform, args.crs, args.tolerance)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*written, *(path for image in args.images if (path := picture_file(args.out, image)).exists()), sep='\n')
    if failed:
        sys.exit(f'error: no results of {len(failed)} images: ' + '; '.join(failed))


if __name__ == '__main__':
    main()
