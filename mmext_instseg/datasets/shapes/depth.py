"""The depth of the scenes, laid out as mmseg lays out NYUv2."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from .folder import FileSet
from .layout import Piece
from .scene import SceneSpec

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


def _write(folder: Path, spec: SceneSpec, indices: Iterable[int]) -> None:
    for name in SHAPES_DEPTH.images:
        (folder / name).mkdir()
    for index in indices:
        pieces = spec.pieces(index)
        scene, stem = spec.show(index, pieces), f'{index + 1:012d}'
        Image.fromarray(scene.image).save(folder / 'images' / f'{stem}.jpg', quality=95, subsampling=0)
        millimetres = np.rint(depth_map(pieces, scene.ids) * 1000).astype(np.uint16)
        Image.fromarray(millimetres).save(folder / 'annotations' / f'{stem}.png')


#: One split of NYUv2 as mmseg's `NYUDataset` and our `DepthDataset` read it: images/<image id>.jpg and annotations/<image id>.png of 16
#: bits in millimetres (`LoadDepthMap(kind='metric', scale=0.001)`), named as the images of the data set itself.
SHAPES_DEPTH = FileSet({'depth': 'v1'}, {'images': '.jpg', 'annotations': '.png'}, (), _write)
depth_folder, make_shapes_depth = SHAPES_DEPTH.folder, SHAPES_DEPTH.make
