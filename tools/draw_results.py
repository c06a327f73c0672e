"""Pictures of what a model finds: image, displacement field, votes and centres, classes, instances, and the ground truth."""

import argparse
import sys
from pathlib import Path

import torch
from _model import add_arguments, load_model, open_samples
from mmengine.dataset import pseudo_collate
from rich.progress import track

from mmext_instseg.models.detectors import BottomUpSegmentor
from mmext_instseg.ops import sample_bilinear
from mmext_instseg.visualization import contact_sheet, draw_panel

EXAMPLE = """example:
  python tools/draw_results.py configs/dcme/dcme_tiny_shapes.py work_dirs/first/iter_500.pth --out pictures --num 8
  python tools/draw_results.py configs/dcme/dcme_tiny_fruits.py fruits.pth --out pictures --images photo1.jpg photo2.jpg

Without --images it takes images of the test data set, evenly spread, with their ground truth. Everything is drawn at the size of the
network's input. OUT gets a PNG an image and contact_sheet.png with all of them."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--num', type=int, default=8, metavar='N', help='how many images of the test data set (default: 8)')
    parser.add_argument('--images', type=Path, nargs='+', default=[], metavar='FILE', help='these images instead')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num must be at least 1, not {args.num}')
    return args


@torch.no_grad()
def draw(model: BottomUpSegmentor, packed: dict, path: Path, title: str) -> Path:
    """Writes the panel of one image."""
    data = model.data_preprocessor(pseudo_collate([packed]), False)
    inputs, samples = data['inputs'], data['data_samples']
    shape, (height, width) = tuple(inputs.shape[-2:]), samples[0].img_shape[:2]
    maps = model.predict_maps(inputs, samples)
    found = model.instances_from_maps(maps, samples, shape, rescale=False)[0].cpu()
    displacement = None
    if 'displacement' in maps:
        vectors = maps['displacement'][0]
        pixels = vectors.new_tensor([shape[1] / vectors.shape[2], shape[0] / vectors.shape[1]]) * model.codec.unit  # a map pixel's
        displacement = sample_bilinear(vectors * pixels.view(2, 1, 1), (height, width), (height / shape[0], width / shape[1])).cpu()
    things = model.heads['semantic'].num_things_classes
    probability = maps['class_prob'][0, :things]
    # Without the padding
    rows, columns = (
        max(round(full * part / whole), 1) for full, part, whole in zip(probability.shape[1:], (height, width), shape, strict=True)
    )
    truth = samples[0].get('gt_instance_map')
    return draw_panel(
        path,
        packed['inputs'].flip(0).permute(1, 2, 0).clamp(0, 255).byte().numpy(),  # mmdet loads BGR
        found,
        truth=None if truth is None else truth.crop((height, width)).cpu(),
        displacement=displacement,
        class_prob=probability[:, :rows, :columns].cpu(),
        class_names=model.dataset_meta.get('classes', ())[:things],
        title=title,
    )


def main() -> None:
    args = parse_args()
    try:
        cfg, model = load_model(args)
        samples = open_samples(cfg, args.images, args.num)
        paths = []
        for make in track(samples, 'Drawing'):
            packed = make()
            name = Path(packed['data_samples'].img_path).name
            paths.append(draw(model, packed, args.out / f'{len(paths):03d}_{Path(name).stem}.png', name))
        paths.append(contact_sheet(paths, args.out / 'contact_sheet.png'))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*paths, sep='\n')


if __name__ == '__main__':
    main()
