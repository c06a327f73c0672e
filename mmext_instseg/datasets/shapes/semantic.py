"""The classes of the scenes, laid out as mmseg lays out its data."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from .folder import FileSet
from .scene import THINGS, Scene, SceneSpec


def class_map(scene: Scene) -> np.ndarray:
    """(H, W) uint8: 0..4 the things, 5..7 the stuff; no pixel is void."""
    return np.where(scene.ids > 0, np.append(0, scene.labels)[scene.ids], scene.stuff.astype(np.int64) + len(THINGS)).astype(np.uint8)


def _write(folder: Path, spec: SceneSpec, indices: Iterable[int]) -> None:
    for name in SHAPES_SEMANTIC.images:
        (folder / name).mkdir()
    for index in indices:
        scene, name = spec.scene(index), f'{index + 1:012d}.png'
        Image.fromarray(scene.image).save(folder / 'images' / name)
        Image.fromarray(class_map(scene)).save(folder / 'annotations' / name)


#: One split of an mmseg data set: images/<image id>.png and annotations/<image id>.png of 8 bits, as `class_map`, named as the images of
#: the data set itself.
SHAPES_SEMANTIC = FileSet({'semantic': 'v1'}, {'images': '.png', 'annotations': '.png'}, (), _write)
semantic_folder, make_shapes_semantic = SHAPES_SEMANTIC.folder, SHAPES_SEMANTIC.make
