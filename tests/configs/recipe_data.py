"""Shapes where the recipes look for COCO 2017, NYUv2, pseudo depth and Cityscapes, in the published layouts."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from mmdet.datasets import CocoPanopticDataset
from PIL import Image

from mmext_instseg.datasets.shapes import STUFF, THINGS, make_cityscapes, make_shapes, make_shapes_depth

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
NUM_IMAGES = dict(train=4, val=2)


def write_coco_and_nyu(data: Path, size: tuple[int, int] = (96, 128)) -> None:
    """data/coco and data/nyu, of the same scenes: Shapes' things are COCO's first thing classes, its stuff COCO's first stuff classes."""
    for seed, (split, num) in enumerate(NUM_IMAGES.items()):
        made = dict(data_root=data / 'shapes', size=size, seed=seed, num_images=num)
        _write_coco(make_shapes(**made), data / 'coco', f'{split}2017')
        _write_nyu(make_shapes_depth(**made), data / 'nyu', dict(train='train', val='test')[split])
    _link(data / 'coco' / 'depth' / 'train2017', data / 'nyu' / 'pseudo_depth' / 'train')


def write_cityscapes(data: Path, num_images: dict[str, int], *options: str) -> None:
    """data/cityscapes with these splits, converted as the documents say."""
    for seed, (split, num) in enumerate(num_images.items()):
        make_cityscapes(data / 'cityscapes', split, size=(128, 256), seed=seed, num_images=num)
    command = [sys.executable, str(TOOLS / 'convert_cityscapes.py'), str(data / 'cityscapes'), *options]
    subprocess.run(command, check=True, capture_output=True)


def _write_coco(shapes: Path, coco: Path, split: str) -> None:
    _link(coco / split, shapes / 'images')
    _link(coco / 'annotations' / f'panoptic_{split}', shapes / 'panoptic')
    categories = [
        {'id': number, 'name': name, 'isthing': int(number <= 80)} for number, name in enumerate(CocoPanopticDataset.METAINFO['classes'], 1)
    ]
    ids = [*range(1, len(THINGS) + 1), *range(81, 81 + len(STUFF))]
    for kind, num in (('panoptic', 133), ('instances', 80)):
        truth = json.loads((shapes / f'{kind}.json').read_text())
        truth['categories'] = categories[:num]
        for annotation in truth['annotations']:
            for segment in annotation.get('segments_info', [annotation]):
                segment['category_id'] = ids[segment['category_id'] - 1]
        (coco / 'annotations' / f'{kind}_{split}.json').write_text(json.dumps(truth))


def _write_nyu(depth: Path, nyu: Path, split: str) -> None:
    """Metric depth, and disparity from 1 to 65535 as a pseudo label."""
    for folder in ('images', 'annotations'):
        _link(nyu / folder / split, depth / folder)
    pseudo = nyu / 'pseudo_depth' / split
    pseudo.mkdir(parents=True)
    for path in (depth / 'annotations').iterdir():
        millimetres = np.asarray(Image.open(path)).astype(float)
        Image.fromarray(np.rint(65535 * millimetres.min() / millimetres).astype(np.uint16)).save(pseudo / path.name)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target.resolve())
