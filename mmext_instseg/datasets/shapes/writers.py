"""Scenes to files. A writer takes scenes one by one, so that one pass over them fills every format."""

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from .scene import STUFF, THINGS, VERSION, Scene

INFO = {'description': 'Shapes, synthetic scenes of mmext_instseg', 'version': VERSION}
THING_CATEGORIES = [{'supercategory': 'shape', 'id': i, 'name': name} for i, name in enumerate(THINGS, 1)]
STUFF_CATEGORIES = [{'supercategory': 'texture', 'id': i, 'name': name} for i, name in enumerate(STUFF, len(THINGS) + 1)]


class SceneWriter(Protocol):
    """Writes scenes in one format into a folder.

    Args:
        folder (Path): An existing folder.
    """

    def __init__(self, folder: Path) -> None: ...

    def add(self, image_id: int, file_name: str, scene: Scene) -> None:
        """Takes the next scene; `file_name` is that of its PNG in images/."""

    def finish(self) -> None:
        """Writes what can only be written after the last scene."""


class ImageWriter:
    """The pictures: images/<file name>, 8-bit RGB PNG."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / 'images'
        self.folder.mkdir()

    def add(self, image_id: int, file_name: str, scene: Scene) -> None:
        Image.fromarray(scene.image).save(self.folder / file_name)

    def finish(self) -> None:
        pass


class CocoInstancesWriter:
    """instances.json: COCO object detection, compressed RLE masks, category ids 1..5, annotation ids unique in the file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / 'instances.json'
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, image_id: int, file_name: str, scene: Scene) -> None:
        self.images.append(image_record(image_id, file_name, scene))
        masks = scene.ids[:, :, None] == np.arange(1, len(scene.labels) + 1)
        rles = coco_mask.encode(np.asfortranarray(masks, dtype=np.uint8))
        boxes, areas = coco_mask.toBbox(rles).tolist(), coco_mask.area(rles).tolist()
        for rle, box, area, label in zip(rles, boxes, areas, scene.labels.tolist(), strict=True):
            self.annotations.append(
                {
                    'id': len(self.annotations) + 1,
                    'image_id': image_id,
                    'category_id': label + 1,
                    'segmentation': {'size': list(rle['size']), 'counts': rle['counts'].decode('ascii')},
                    'area': area,
                    'bbox': box,
                    'iscrowd': 0,
                }
            )

    def finish(self) -> None:
        data = {'info': INFO, 'licenses': [], 'images': self.images, 'annotations': self.annotations, 'categories': THING_CATEGORIES}
        self.path.write_text(json.dumps(data))


class CocoPanopticWriter:
    """panoptic.json and panoptic/<file name>: COCO panoptic, segment id = R + 256 G + 65536 B, unique in the file.

    Every pixel belongs to a segment: objects first (in the order of their ids), then one segment for each stuff class in sight.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / 'panoptic.json'
        self.folder = folder / 'panoptic'
        self.folder.mkdir()
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.segments = 0

    def add(self, image_id: int, file_name: str, scene: Scene) -> None:
        self.images.append(image_record(image_id, file_name, scene))
        count = len(scene.labels)
        local = np.where(scene.ids > 0, scene.ids - 1, scene.stuff.astype(np.int32) + count)
        categories = [*(scene.labels + 1).tolist(), *(category['id'] for category in STUFF_CATEGORIES)]
        areas = np.bincount(local.ravel(), minlength=len(categories)).tolist()
        colors, infos = np.zeros(len(categories), np.int64), []
        for i, (category, area) in enumerate(zip(categories, areas, strict=True)):
            if area:
                colors[i] = self.next_id()
                infos.append({'id': int(colors[i]), 'category_id': category, 'iscrowd': 0, 'bbox': bounding_box(local == i), 'area': area})
        ids = colors[local]
        Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)).save(self.folder / file_name)
        self.annotations.append({'image_id': image_id, 'file_name': file_name, 'segments_info': infos})

    def next_id(self) -> int:
        """Segment ids run through all 2^24 - 1 colours, in strides that make neighbours look different."""
        self.segments += 1
        if self.segments >= 1 << 24:
            raise ValueError('Shapes: a panoptic PNG has only 2^24 - 1 segment ids; make fewer images with one seed.')
        return self.segments * 0x9E3779 % (1 << 24)  # an odd factor: a permutation that keeps 0 to itself

    def finish(self) -> None:
        categories = [{**c, 'isthing': 1} for c in THING_CATEGORIES] + [{**c, 'isthing': 0} for c in STUFF_CATEGORIES]
        data = {'info': INFO, 'licenses': [], 'images': self.images, 'annotations': self.annotations, 'categories': categories}
        self.path.write_text(json.dumps(data))


WRITERS: tuple[type[SceneWriter], ...] = (ImageWriter, CocoInstancesWriter, CocoPanopticWriter)


def image_record(image_id: int, file_name: str, scene: Scene) -> dict:
    height, width = scene.ids.shape
    return {'id': image_id, 'file_name': file_name, 'height': height, 'width': width}


def bounding_box(mask: np.ndarray) -> list[int]:
    """[x, y, width, height] of a non-empty (H, W) bool mask."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(cols[0]), int(rows[0]), int(cols[-1] - cols[0] + 1), int(rows[-1] - rows[0] + 1)]
