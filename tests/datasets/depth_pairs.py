"""Small folders of images and depth maps, as NYUv2 lies in mmseg's layout."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_nyu(root: Path, names: tuple[str, ...] = ('bedroom_0001_00', 'office_0002_01'), size: tuple[int, int] = (24, 32)) -> Path:
    """images/train/<name>.jpg and annotations/train/<name>.png: picture k is grey k, its depth in millimetres 1000 k + 10 row + column."""
    rows, cols = np.indices(size)
    for number, name in enumerate(names, 1):
        for folder in ('images', 'annotations'):
            (root / folder / 'train' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), number, np.uint8)).save(root / 'images' / 'train' / f'{name}.jpg')
        depth = (1000 * number + 10 * rows + cols).astype(np.uint16)
        depth[0, 0] = 0
        Image.fromarray(depth).save(root / 'annotations' / 'train' / f'{name}.png')
    return root


def nyu_prefix(split: str = 'train') -> dict[str, str]:
    return dict(img_path=f'images/{split}', depth_map_path=f'annotations/{split}')
