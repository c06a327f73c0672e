"""Pictures of what several models find in the same images, side by side with the ground truth."""

import argparse
import sys
from pathlib import Path

import mmcv
import torch
from _model import load_detector, open_samples
from mmdet.models.detectors import BaseDetector
from mmengine.dataset import pseudo_collate
from rich.progress import track

from mmext_instseg.structures import InstanceMap, from_pred_instances
from mmext_instseg.visualization import contact_sheet, draw_side_by_side

EXAMPLE = """example:
  python tools/draw_side_by_side.py --model plain.py plain.pth --model ours.py ours.pth --out pictures --num 6

Takes any instance segmentation model of mmdet. Without --images it takes images of the first model's test data set, evenly spread, with
their ground truth; the others must have the same images in the same order. An object has one colour wherever it is found with an IoU above
0.5; grey is wrong or missed. OUT gets a PNG an image and contact_sheet.png with all of them."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--model', nargs=2, type=Path, action='append', required=True, metavar=('CONFIG', 'CHECKPOINT'), help='once for each column'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--names', nargs='+', metavar='NAME', help="titles of the columns (default: the configs' names)")
    parser.add_argument('--num', type=int, default=8, metavar='N', help='how many images of the test data set (default: 8)')
    parser.add_argument('--images', type=Path, nargs='+', default=[], metavar='FILE', help='these images instead')
    parser.add_argument('--score', type=float, default=0.3, help='least score of what is drawn (default: 0.3)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default here: %(default)s')
    args = parser.parse_args()
    args.names = args.names or [config.stem for config, _ in args.model]
    if len(set(args.names)) != len(args.model):
        parser.error(f'--names needs {len(args.model)} different names, not {args.names}')
    if args.num < 1:
        parser.error(f'--num must be at least 1, not {args.num}')
    return args


@torch.no_grad()
def find(model: BaseDetector, packed: dict, score: float) -> tuple[str, InstanceMap, InstanceMap | None]:
    """Path of the image, what the model finds in it and the truth if it was loaded, both at the original size."""
    sample = packed['data_samples']
    truth = true_instances(sample)
    pred = model.test_step(pseudo_collate([packed]))[0].pred_instances
    found = from_pred_instances(pred[pred.scores >= score].cpu(), sample.ori_shape)
    return sample.img_path, found, truth


def true_instances(sample) -> InstanceMap | None:
    """The annotations of a packed sample at the image's original size, as far as its pipeline loaded them."""
    if 'gt_instance_map' in sample:
        return sample.gt_instance_map.resize(tuple(sample.ori_shape))
    if 'gt_instances' not in sample or 'masks' not in sample.gt_instances:
        return None
    masks = sample.gt_instances.masks.to_tensor(dtype=torch.bool, device='cpu')
    return InstanceMap.from_masks(masks, sample.gt_instances.labels).resize(tuple(sample.ori_shape))


def main() -> None:
    args = parse_args()
    try:
        models, samples = {}, []
        for name, (config, checkpoint) in zip(args.names, args.model, strict=True):
            cfg, models[name] = load_detector(config, checkpoint, args.device, {})
            samples.append(open_samples(cfg, args.images, args.num))
        paths = []
        for makers in track(list(zip(*samples, strict=True)), 'Drawing'):
            seen = [find(model, make(), args.score) for model, make in zip(models.values(), makers, strict=True)]
            image, truth = seen[0][0], seen[0][2]
            if others := {path for path, _, _ in seen} - {image}:
                raise ValueError(f'the models have different test images: {image} and {sorted(others)[0]}; give --images')
            names = next(iter(models.values())).dataset_meta.get('classes', ())
            out = args.out / f'{len(paths):03d}_{Path(image).stem}.png'
            found = {name: one for name, (_, one, _) in zip(models, seen, strict=True)}
            paths.append(draw_side_by_side(out, mmcv.imread(image, channel_order='rgb'), found, truth, names, Path(image).name))
        paths.append(contact_sheet(paths, args.out / 'contact_sheet.png'))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*paths, sep='\n')


if __name__ == '__main__':
    main()
