"""The depth of the scenes, laid out as mmseg lays out NYUv2."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from .folder import MANIFEST, check_files, check_manifest, describe, move_in, shapes_folder
from .layout import Piece
from .scene import SceneSpec

DEPTH_VERSION = 'v1'
# Metres. The background falls from FAR at the upper edge to NEAR at the lower one; the forms stand in front of it.
FAR, NEAR = 8.0, 4.0
_FIRST, _SPAN = 1.0, 4.0
_GAP = 0.005


def depth_map(pieces: list[Piece], ids: np.ndarray) -> np.ndarray:
    """Depth that agrees with the order in which a scene is painted.

    The background is a plane, tilted away from the viewer: from 8 m above the first row to 4 m below the last. A form is flat and
    parallel to the picture, at 1 m + 4 m * size * jitter / side: what is in front in the painting order (`Piece.order` = -size * jitter,
    jitter in 0.6..1.4; side is the shorter one of the image) is nearer, by 5 mm at least. So depth can be told from a picture about as
    in a photo: by position for the background, roughly by size and exactly by occlusion for the forms.

    Args:
        pieces: what `SceneSpec.pieces` gives, from back to front.
        ids: (H, W) of the scene, 0 or 1..K.

    Returns:
        (H, W) float32 metres, above 0.9 and below 8.
    """
    height, width = ids.shape
    plane = FAR - (FAR - NEAR) * (np.arange(height) + 0.5) / height
    stairs = _GAP * np.arange(len(pieces))
    wanted = _FIRST + _SPAN * np.array([-piece.order for piece in pieces]) / min(height, width)
    forms = np.minimum.accumulate(wanted + stairs) - stairs
    by_id = np.concatenate([[0.0], forms])[ids]
    return np.where(ids > 0, by_id, plane[:, None]).astype(np.float32)


def depth_folder(folder: Path) -> Path:
    """Where the depth of a Shapes folder lies: beside it, e.g. data/shapes/v1_standard_128x128_seed0_n800_depth."""
    return folder.with_name(f'{folder.name}_depth')


def make_shapes_depth(
    data_root: str | os.PathLike = 'data/shapes',
    variant: str = 'standard',
    size: tuple[int, int] = (128, 128),
    seed: int = 0,
    num_images: int = 800,
    track: Callable[[range], Iterable[int]] | None = None,
) -> Path:
    """Makes the depth of a Shapes data set unless it is there, and returns its folder; the data set itself is neither needed nor touched.

    The folder is one split of NYUv2 as mmseg's `NYUDataset` and our `DepthDataset` read it: images/<image id>.jpg and
    annotations/<image id>.png of 16 bits in millimetres (`LoadDepthMap(kind='metric', scale=0.001)`), named as the images in
    the data set's own folder. Arguments, errors and several processes at once: as `make_shapes`.
    """
    spec = SceneSpec(variant, size, seed)
    folder = depth_folder(shapes_folder(data_root, variant, size, seed, num_images))
    if folder.exists() or not move_in(folder, lambda building: _write(building, spec, num_images, track or (lambda indices: indices))):
        check_manifest(folder, _describe(spec, num_images))
        check_files(folder, 'images', '.jpg', num_images)
        check_files(folder, 'annotations', '.png', num_images)
    return folder


def _write(folder: Path, spec: SceneSpec, num_images: int, track: Callable[[range], Iterable[int]]) -> None:
    for name in ('images', 'annotations'):
        (folder / name).mkdir()
    for index in track(range(num_images)):
        pieces = spec.pieces(index)
        scene, stem = spec.show(index, pieces), f'{index + 1:012d}'
        Image.fromarray(scene.image).save(folder / 'images' / f'{stem}.jpg', quality=95, subsampling=0)
        millimetres = np.rint(depth_map(pieces, scene.ids) * 1000).astype(np.uint16)
        Image.fromarray(millimetres).save(folder / 'annotations' / f'{stem}.png')
    (folder / MANIFEST).write_text(json.dumps(_describe(spec, num_images), indent=2))


def _describe(spec: SceneSpec, num_images: int) -> dict:
    return describe(spec, num_images) | {'depth': DEPTH_VERSION}
