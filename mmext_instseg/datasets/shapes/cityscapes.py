"""Shapes in the layout and formats of Cityscapes' gtFine: a split of a folder that every reader of Cityscapes takes."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ...structures import write_json
from ..cityscapes.instances import SPLITS
from ..cityscapes.labels import ID_OF, INSTANCE_FACTOR, LABELS, MAX_ID
from .folder import check_count, describe
from .layout import Piece
from .scene import STUFF, THINGS, Scene, SceneSpec
from .writers import bounding_box

CITY = 'shapes'
CLASS_OF = {
    **dict(zip(THINGS, ('person', 'rider', 'car', 'truck', 'bus'), strict=True)),
    **dict(zip(STUFF, ('road', 'building', 'vegetation'), strict=True)),
}
GROUP_EVERY = 4


def make_cityscapes(
    root: str | os.PathLike,
    split: str = 'train',
    variant: str = 'standard',
    size: tuple[int, int] = (128, 256),
    seed: int = 0,
    num_images: int = 40,
    track: Callable[[range], Iterable[int]] | None = None,
) -> Path:
    """Makes a split of a Cityscapes folder unless it is there, and returns the folder.

    Below `root`, with <stem> = shapes_<seed>_<index>, six digits each:

        leftImg8bit/<split>/shapes/<stem>_leftImg8bit.png
        gtFine/<split>/shapes/<stem>_gtFine_{polygons.json,instanceIds.png,labelIds.png,color.png}
        gtFine/cityscapes_panoptic_<split>.json, gtFine/cityscapes_panoptic_<split>/<stem>_gtFine_panoptic.png

    and shapes_<split>.json, which says what the split is. Every pixel has the class and object of `SceneSpec.scene`, named by
    `CLASS_OF`. In every fourth scene, from the first, the rearmost object is a group ('cargroup'; a crowd to COCO).

    Args:
        root: folder of the data set; may hold other splits.
        split: 'train', 'val' or 'test', of which there are only images. Give each split another seed.
        variant, size, seed, num_images: as `SceneSpec`; scenes 0..num_images-1 of the series.
        track: wraps the range of indices while scenes are made, to show progress.

    Raises:
        ValueError: A value is out of its range.
        RuntimeError: Other data, or part of this, is there already.
    """
    if split not in SPLITS:
        raise ValueError(f'Cityscapes has no split {split!r}; choose one of {", ".join(SPLITS)}.')
    check_count(num_images)
    spec, root = SceneSpec(variant, size, seed), Path(root)
    description, manifest = describe(spec, num_images), root / f'shapes_{split}.json'
    places = [f'leftImg8bit/{split}', f'gtFine/{split}', f'gtFine/cityscapes_panoptic_{split}', f'gtFine/cityscapes_panoptic_{split}.json']
    if there := [place for place in (manifest.name, *places) if (root / place).exists()]:
        if manifest.is_file() and json.loads(manifest.read_text()) == description and (root / places[0]).is_dir():
            return root
        raise RuntimeError(f'{root / there[0]} is there and is not, or not all of, {description}. Move it or choose another folder.')
    root.mkdir(parents=True, exist_ok=True)
    building = root / f'.{split}.{uuid.uuid4().hex}'
    try:
        _write(building, split, spec, (track or iter)(range(num_images)))
        for place in places:
            if (building / place).exists():
                (root / place).parent.mkdir(exist_ok=True)
                os.replace(building / place, root / place)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    write_json(manifest, description, overwrite=True)
    return root


def _write(root: Path, split: str, spec: SceneSpec, indices: Iterable[int]) -> None:
    pictures, truths = root / 'leftImg8bit' / split / CITY, root / 'gtFine' / split / CITY
    pictures.mkdir(parents=True)
    panoptic = _Panoptic(root / 'gtFine', split)
    for index in indices:
        stem, pieces = f'{CITY}_{spec.seed:06d}_{index:06d}', spec.pieces(index)
        scene = spec.show(index, pieces)
        Image.fromarray(scene.image).save(pictures / f'{stem}_leftImg8bit.png')
        if split == 'test':
            continue
        truths.mkdir(parents=True, exist_ok=True)
        objects = list_objects(scene, pieces, has_group=index % GROUP_EVERY == 0)
        height, width = scene.ids.shape
        polygons = {'imgHeight': height, 'imgWidth': width, 'objects': objects}
        (truths / f'{stem}_gtFine_polygons.json').write_text(json.dumps(polygons, indent=4))
        ids = paint_objects(objects, height, width)
        labels = np.where(ids >= INSTANCE_FACTOR, ids // INSTANCE_FACTOR, ids)
        Image.fromarray(ids).save(truths / f'{stem}_gtFine_instanceIds.png')
        Image.fromarray(labels.astype(np.uint8)).save(truths / f'{stem}_gtFine_labelIds.png')
        Image.fromarray(_COLORS[labels]).save(truths / f'{stem}_gtFine_color.png')
        panoptic.add(stem, ids)
    if split != 'test':
        panoptic.finish()


def list_objects(scene: Scene, pieces: list[Piece], has_group: bool) -> list[dict]:
    """The objects of a polygons.json, each {'label', 'polygon': [[x, y], ...]} in pixel indices, in the order of painting.

    Stuff comes first, a larger region before those inside it, then the whole forms from back to front, also where they are hidden.
    """
    regions = []
    for kind, name in enumerate(STUFF):
        # Regions connected by edges, filled up, are nested or disjoint: the order by size paints each over what is around it.
        count, parts = cv2.connectedComponents((scene.stuff == kind).astype(np.uint8), connectivity=4)
        borders = [outline(parts == part, cv2.RETR_EXTERNAL) for part in range(1, count)]
        regions += [(cv2.contourArea(border), CLASS_OF[name], border) for border in borders]
    objects = [(name, border) for _, name, border in sorted(regions, key=lambda region: -region[0])]
    for number, piece in enumerate(pieces):
        name = CLASS_OF[THINGS[piece.form.label]] + 'group' * (has_group and number == 0)
        objects.append((name, outline(piece.depth >= 0) + np.array(piece.origin[::-1], np.int32)))
    return [{'label': name, 'polygon': polygon.tolist()} for name, polygon in objects]


def outline(mask: np.ndarray, mode: int = cv2.RETR_CCOMP) -> np.ndarray:
    """The polygon that PIL fills with a mask.

    Args:
        mask: (H, W) bool, connected.
        mode: `cv2.RETR_EXTERNAL` fills the mask's holes; otherwise the polygon goes round each hole on a cut from the border, since
            polygons of Cityscapes have no holes.

    Returns:
        (N, 2) int32 (x, y): the border pixels one by one, because PIL rounds longer edges its own way; N >= 3.
    """
    contours, tree = cv2.findContours(mask.astype(np.uint8), mode, cv2.CHAIN_APPROX_NONE)
    outer = max((i for i in range(len(contours)) if tree[0, i, 3] < 0), key=lambda i: cv2.contourArea(contours[i]))
    path, inner = contours[outer][:, 0], tree[0, outer, 2]
    while inner >= 0:
        hole = contours[inner][:, 0]
        distances = np.abs(path[:, None] - hole).sum(axis=2)
        at, start = np.unravel_index(distances.argmin(), distances.shape)
        path = np.concatenate([path[: at + 1], hole[start:], hole[: start + 1], path[at:]])
        inner = tree[0, inner, 0]
    return path if len(path) > 2 else np.concatenate([path, path, path])


def paint_objects(objects: list[dict], height: int, width: int) -> np.ndarray:
    """(height, width) uint16 ids of an instanceIds PNG, painted as cityscapesscripts' json2instanceImg does."""
    image = Image.new('I', (width, height), 0)
    drawer, numbers = ImageDraw.Draw(image), {label.name: iter(range(INSTANCE_FACTOR)) for label in LABELS if label.is_thing}
    for one in objects:
        name = one['label'].removesuffix('group')
        is_instance = name in numbers and name == one['label']
        value = ID_OF[name] * INSTANCE_FACTOR + next(numbers[name]) if is_instance else ID_OF[name]
        drawer.polygon([tuple(point) for point in one['polygon']], fill=value)
    return np.array(image, np.uint16)


_COLORS = np.zeros((MAX_ID + 1, 4), np.uint8)
_COLORS[:, 3] = 255
for _label in LABELS:
    _COLORS[_label.id, :3] = _label.color


class _Panoptic:
    """cityscapes_panoptic_<split>.json and its PNGs, as cityscapesscripts' createPanopticImgs writes them."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder = folder / f'cityscapes_panoptic_{split}'
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, stem: str, ids: np.ndarray) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        segments = []
        for value in np.unique(ids).tolist():
            label, mask = _LABEL_OF[value // INSTANCE_FACTOR or value], ids == value
            segments.append(
                {
                    'id': value,
                    'category_id': label.id,
                    'area': int(mask.sum()),
                    'bbox': bounding_box(mask),
                    'iscrowd': int(label.is_thing and value < INSTANCE_FACTOR),
                }
            )
        name = f'{stem}_gtFine_panoptic.png'
        Image.fromarray(np.stack([ids & 255, ids >> 8, ids * 0], axis=-1).astype(np.uint8)).save(self.folder / name)
        # createPanopticImgs leaves '_gtFine' in the image's name.
        image = {'id': stem, 'width': ids.shape[1], 'height': ids.shape[0], 'file_name': f'{stem}_gtFine_leftImg8bit.png'}
        self.images.append(image)
        self.annotations.append({'image_id': stem, 'file_name': name, 'segments_info': segments})

    def finish(self) -> None:
        categories = [
            {'id': one.id, 'name': one.name, 'color': one.color, 'supercategory': one.category, 'isthing': int(one.is_thing)}
            for one in LABELS
        ]
        data = {'images': self.images, 'annotations': self.annotations, 'categories': categories}
        write_json(self.folder.with_suffix('.json'), data, overwrite=True)


_LABEL_OF = {label.id: label for label in LABELS}
