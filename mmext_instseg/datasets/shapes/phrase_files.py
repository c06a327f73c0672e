"""Phrases about the scenes in the formats of PhraseCut and LVIS v1."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ...structures import join_rings, trace_mask
from .folder import FileSet
from .phrases import ScenePhrase, scene_phrases
from .sampling import Draw
from .scene import THINGS, VERSION, Scene, SceneSpec
from .writers import INFO, bounding_box

PHRASES_VERSION = 'v1'
SPLIT = 'shapes'
REFER_FILE, IMAGE_FILE, LVIS_FILE = f'refer_{SPLIT}.json', 'image_data_split.json', f'lvis_v1_{SPLIT}.json'
_STREAM = 4  # streams 0 to 3 make the scene
SYNONYMS = {
    'circle': ['circle', 'disk', 'disc_(shape)'],
    'square': ['square', 'box_(shape)'],
    'triangle': ['triangle'],
    'star': ['star', 'five-pointed_star'],
    'ring': ['ring', 'hoop', 'annulus'],
}


def _write(folder: Path, spec: SceneSpec, indices: Iterable[int]) -> None:
    (folder / 'images').mkdir()
    phrasecut, lvis = _PhraseCut(), _LVIS()
    for index in indices:
        scene, image_id = spec.scene(index), index + 1
        Image.fromarray(scene.image).save(folder / 'images' / f'{image_id}.jpg', quality=95, subsampling=0)
        polygons = [_outlines(scene.ids == number) for number in range(1, len(scene.objects) + 1)]
        boxes = [bounding_box(scene.ids == number) for number in range(1, len(scene.objects) + 1)]
        draw = Draw(int(VERSION[1:]), *spec.size, spec.seed, index, _STREAM)
        phrasecut.add(image_id, scene, scene_phrases(scene, draw), polygons, boxes)
        lvis.add(image_id, scene, polygons, boxes)
    for name, data in ((REFER_FILE, phrasecut.tasks), (IMAGE_FILE, phrasecut.images), (LVIS_FILE, lvis.data())):
        (folder / name).write_text(json.dumps(data))


#: A folder of PhraseCut and one of LVIS v1 at once, for readers of either:
#:
#:     images/<image id>.jpg
#:     refer_shapes.json, image_data_split.json      PhraseCut: what `scene_phrases` says
#:     lvis_v1_shapes.json                           LVIS v1: classes with synonyms; all absent ones are in neg_category_ids
#:
#: Polygons run along the edges of pixels, so that COCO's rasterisation gives the masks. A negative phrase is a task without instances,
#: which PhraseCut itself hasn't. `coco_url` is the path below the folder.
SHAPES_PHRASES = FileSet({'phrases': PHRASES_VERSION}, {'images': '.jpg'}, (REFER_FILE, IMAGE_FILE, LVIS_FILE), _write)
phrases_folder, make_shapes_phrases = SHAPES_PHRASES.folder, SHAPES_PHRASES.make


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    return [join_rings(rings) for rings in trace_mask(mask)]


class _PhraseCut:
    """refer_<split>.json and image_data_split.json."""

    def __init__(self) -> None:
        self.images: list[dict] = []
        self.tasks: list[dict] = []
        self.objects = 0

    def add(
        self, image_id: int, scene: Scene, phrases: list[ScenePhrase], polygons: list[list[np.ndarray]], boxes: list[list[int]]
    ) -> None:
        height, width = scene.ids.shape
        shape = {'height': height, 'width': width}
        self.images.append({'image_id': image_id, **shape, 'url': '', 'coco_id': None, 'flickr_id': None, 'split': SPLIT})
        for number, phrase in enumerate(phrases):
            kind = 'relation' if phrase.relation else 'attribute' if phrase.attributes else 'name'
            relations = [list(phrase.relation)] if phrase.relation else []
            self.tasks.append(
                {
                    'task_id': f'{image_id}__{number}',
                    'image_id': image_id,
                    'ann_ids': [self.objects + i + 1 for i in phrase.objects],
                    'instance_boxes': [boxes[i] for i in phrase.objects],
                    'Polygons': [[polygon.tolist() for polygon in polygons[i]] for i in phrase.objects],
                    'phrase': phrase.text,
                    'phrase_structure': {
                        'name': phrase.name,
                        'attributes': list(phrase.attributes),
                        'relation_ids': list(range(len(relations))),
                        'relation_descriptions': relations,
                        'type': kind,
                    },
                }
            )
        self.objects += len(scene.objects)


class _LVIS:
    """lvis_v1_<split>.json."""

    def __init__(self) -> None:
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, image_id: int, scene: Scene, polygons: list[list[np.ndarray]], boxes: list[list[int]]) -> None:
        height, width = scene.ids.shape
        present = {label + 1 for label in scene.labels.tolist()}
        self.images.append(
            {
                'id': image_id,
                'width': width,
                'height': height,
                'neg_category_ids': [number for number in range(1, len(THINGS) + 1) if number not in present],
                'not_exhaustive_category_ids': [],
                'coco_url': f'images/{image_id}.jpg',
                'flickr_url': '',
                'date_captured': '',
                'license': 0,
            }
        )
        for one, label, parts, box in zip(scene.objects, scene.labels.tolist(), polygons, boxes, strict=True):
            self.annotations.append(
                {
                    'id': len(self.annotations) + 1,
                    'image_id': image_id,
                    'category_id': label + 1,
                    'segmentation': [part.ravel().tolist() for part in parts],
                    'area': one.area,
                    'bbox': box,
                }
            )

    def data(self) -> dict:
        instances = Counter(one['category_id'] for one in self.annotations)
        images = Counter(number for _, number in {(one['image_id'], one['category_id']) for one in self.annotations})
        categories = [
            {
                'id': number,
                'name': name,
                'synset': f'{name}.n.01',
                'synonyms': SYNONYMS[name],
                'def': f'a {name} of {INFO["description"]}',
                'frequency': 'r' if images[number] <= 10 else 'c' if images[number] <= 100 else 'f',
                'image_count': images[number],
                'instance_count': instances[number],
            }
            for number, name in enumerate(THINGS, 1)
        ]
        data = {'images': self.images, 'annotations': self.annotations, 'categories': categories}
        return {'info': INFO, 'licenses': [], **data}
