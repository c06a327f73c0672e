"""Ground truth as annotation files have it, without the photos: COCO instances, LVIS, COCO panoptic.

Shapes: (H, W) size of an image, K instances.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from ...compat.panopticapi.utils import rgb2id
from ...datasets.image_files import check_complete, image_size
from ...datasets.validation import load_coco
from ...structures import InstanceMap, to_coco_annotations, to_rle
from ...structures.coco_masks import decode_segmentation, segmentation_runs


@dataclass
class TrueImage:
    """What is annotated in one image.

    Attributes:
        image_id: as in the file.
        instances: the visible things, K rows, labels are category ids.
        annotations: COCO annotations with full masks as RLE, `row` 1..K of `instances`, 0 for a crowd.
        panoptic: the JSON entry and the id map (H, W) int64 of a panoptic file, else None.
        stuff: of a panoptic file: one row a stuff segment, labels are category ids.
    """

    image_id: int
    instances: InstanceMap
    annotations: list[dict]
    panoptic: tuple[dict, np.ndarray] | None = None
    stuff: InstanceMap | None = None


class TruthFile:
    """The images of an annotation file, read one by one.

    Args:
        path: COCO instances, LVIS or COCO panoptic JSON. Records that are wrong are left out and counted in the log.
        segments: folder of the PNGs of a panoptic file; None: the folder beside it that is called as the file.
        max_side: larger images are scaled down to it: polygons by their coordinates, RLE and PNG by the nearest pixel.

    Raises:
        ValueError: as `load_coco`; while iterating, a missing or broken PNG, naming it.
    """

    def __init__(self, path: str | Path, segments: str | Path | None = None, max_side: int | None = None) -> None:
        data = load_coco(path, policy='skip')
        self.categories: dict[int, dict] = {one['id']: one for one in data['categories']}
        self.segments = Path(segments) if segments is not None else Path(path).with_suffix('')
        self.max_side = max_side
        of_image: dict[int, list[dict]] = {}
        for annotation in data['annotations']:
            of_image.setdefault(annotation['image_id'], []).append(annotation)
        self.images = [(image, of_image[image['id']]) for image in data['images'] if image['id'] in of_image]
        self.is_panoptic = any('segments_info' in annotation for annotation in data['annotations'])

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[TrueImage]:
        for image, annotations in self.images:
            height, width = image['height'], image['width']
            ratio = min((self.max_side or np.inf) / max(height, width), 1.0)
            shape = (max(round(height * ratio), 1), max(round(width * ratio), 1))
            if self.is_panoptic:
                yield self._read_panoptic(annotations[0], (height, width), shape)
            else:
                yield _read_instances(image['id'], [_scale(one, (height, width), shape) for one in annotations], shape)

    def _read_panoptic(self, entry: dict, size: tuple[int, int], shape: tuple[int, int]) -> TrueImage:
        image_id, path = entry['image_id'], self.segments / entry['file_name']
        if (found_size := image_size(path)) != size:
            raise ValueError(f'{path}: {found_size} (height, width), the annotations say {size}; restore the pair')
        check_complete(path)
        with Image.open(path) as image:
            found, inverse = np.unique(rgb2id(np.array(image.convert('RGB'))), return_inverse=True)
            ids = inverse.reshape(image.height, image.width)
        segments = entry['segments_info']
        row_of = {segment['id']: row for row, segment in enumerate(segments, 1)}
        rows = torch.tensor([row_of.get(one, 0) for one in found.tolist()])[torch.from_numpy(ids)]
        every = InstanceMap.from_ids(rows, torch.tensor([segment['category_id'] for segment in segments], dtype=torch.int64)).resize(shape)
        # Areas as they are at this size
        seen = [dict(one, area=area) for one, area in zip(segments, every.areas.tolist(), strict=True) if area]
        numbers = torch.tensor([0, *(segment['id'] for segment in segments)])
        things = torch.tensor([self.categories[one['category_id']].get('isthing', 1) == 1 for one in segments], dtype=torch.bool)
        crowds = torch.tensor([one.get('iscrowd', 0) == 1 for one in segments], dtype=torch.bool)
        instances = every.select(things & ~crowds & (every.areas > 0))
        instances.ids[every.select(things & crowds).ids > 0] = -1
        annotations = _annotations(image_id, instances, 0) + _annotations(image_id, every.select(things & crowds), 1)
        truth = dict(entry, segments_info=seen), numbers[every.ids.long()].numpy()
        return TrueImage(image_id, instances, annotations, truth, every.select(~things))


def _read_instances(image_id: int, annotations: list[dict], shape: tuple[int, int]) -> TrueImage:
    """Of annotations at this size; those without a pixel are left out."""
    found = []
    for one in annotations:
        runs = segmentation_runs(one['segmentation'], *shape, name=f'annotation {one["id"]}')
        if area := int(runs[1::2].sum()):
            rle = coco_mask.frPyObjects({'size': list(shape), 'counts': runs.tolist()}, *shape)
            found.append(dict(one, segmentation=rle, area=area, bbox=coco_mask.toBbox(rle).tolist()))
    row, numbered = 0, []
    for one in found:
        row += 1 - one['iscrowd']
        numbered.append(dict(one, row=0 if one['iscrowd'] else row))
    return TrueImage(image_id, InstanceMap.from_coco(found, shape), numbered)


def _annotations(image_id: int, instances: InstanceMap, iscrowd: int) -> list[dict]:
    extra = (dict(image_id=image_id, iscrowd=iscrowd, row=0 if iscrowd else row) for row in range(1, len(instances) + 1))
    return [{**one, **more} for one, more in zip(to_coco_annotations(instances), extra, strict=True)]


def _scale(annotation: dict, old: tuple[int, int], new: tuple[int, int]) -> dict:
    """A COCO annotation, its mask at another size of the image."""
    given = annotation['segmentation']
    if old == new:
        return annotation
    if isinstance(given, list):
        factors = new[1] / old[1], new[0] / old[0]
        return dict(annotation, segmentation=[[value * factors[i % 2] for i, value in enumerate(polygon)] for polygon in given])
    mask = torch.from_numpy(decode_segmentation(given, *old, name=f'annotation {annotation["id"]}'))
    small = InstanceMap.from_ids(mask, torch.zeros(1)).resize(new)
    return dict(annotation, segmentation=to_rle(small)[0])
