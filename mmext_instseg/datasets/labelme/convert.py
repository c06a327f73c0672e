"""LabelMe frames as COCO JSON, and class weights by pixels."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ...structures import InstanceMap
from .files import Frame
from .images import PREFIX, decode_image
from .labels import IGNORE


def labelme_to_coco(frames: Sequence[Frame], classes: Sequence[str], file_name: Callable[[Frame], str]) -> dict:
    """COCO instances JSON of what `LabelMeDataset` reads.

    Polygons stay as they are drawn; area and bbox [x, y, width, height] are the mask's. Image ids are the frames' own, category ids
    follow the classes from 1, annotation ids count from 1. A region to be ignored is a crowd of every class.

    Args:
        classes: as `check_classes` gives them; objects of other labels are left out.
        file_name: what to call the image of a frame.
    """
    category_of = {name: number for number, name in enumerate(classes, 1)}
    images: list[dict] = []
    annotations: list[dict] = []
    for frame in frames:
        images.append({'id': frame.id, 'file_name': file_name(frame), 'height': frame.shape[0], 'width': frame.shape[1]})
        for one in frame.objects:
            ignored = one.label == IGNORE
            x1, y1, x2, y2 = one.bbox
            for category in category_of.values() if ignored else [category_of[one.label]] if one.label in category_of else []:
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': frame.id,
                        'category_id': category,
                        'segmentation': one.segmentation,
                        'area': one.area,
                        'bbox': [x1, y1, x2 - x1, y2 - y1],
                        'iscrowd': int(ignored),
                    }
                )
    categories = [{'id': number, 'name': name} for name, number in category_of.items()]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def name_below(frame: Frame, root: Path) -> str:
    """Path of a frame's image relative to `root`.

    Raises:
        ValueError: the image lies elsewhere or is embedded.
    """
    if frame.image.startswith(PREFIX):
        raise ValueError(f'{frame.path}: its image is embedded, and COCO needs a file; have the images copied, with --copy-images DIR')
    path = Path(frame.image).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f'{frame.path}: its image {frame.image} lies outside {root}; have the images copied, with --copy-images DIR')
    return path.relative_to(root.resolve()).as_posix()


def copy_image(frame: Frame, folder: Path) -> str:
    """Copies a frame's image into `folder`, or writes the embedded one, under the frame's name.

    Returns:
        the path relative to `folder`. A file that is there already stays as it is.
    """
    name = frame.name + Path(frame.image).suffix
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if frame.image.startswith(PREFIX):
            path.write_bytes(decode_image(json.loads(frame.path.read_bytes()), frame.path))
        else:
            shutil.copyfile(frame.image, path)
    return name


def class_pixels(coco: dict, track: Callable[[Sequence[dict], str], Iterable[dict]] | None = None) -> dict[str, int]:
    """Pixels of each class of a COCO file at the images' own sizes, and 'background' last.

    Objects that overlap and crowds don't count, as `GenerateInstanceMap(overlap='ignore')` leaves them out of the loss.

    Args:
        coco: instances JSON.
        track: wraps the images and a description, to show progress.

    Raises:
        ValueError: a panoptic file; and as `InstanceMap.from_coco`.
    """
    if any('segments_info' in annotation for annotation in coco['annotations']):
        raise ValueError('panoptic annotations, whose masks stand in PNGs; give the instances file')
    names = [category['name'] for category in coco['categories']]
    label_of = {category['id']: label for label, category in enumerate(coco['categories'])}
    of_image: dict[int, list[dict]] = {image['id']: [] for image in coco['images']}
    for annotation in coco['annotations']:
        of_image[annotation['image_id']].append(annotation)
    counts = np.zeros(len(names) + 2, dtype=np.int64)
    for image in track(coco['images'], 'Counting') if track else coco['images']:
        made = InstanceMap.from_coco(of_image[image['id']], (image['height'], image['width']), label_of, overlap='ignore')
        labels = made.label_map(background=len(names), ignore=len(names) + 1)
        counts += np.bincount(labels.flatten().numpy(), minlength=len(counts))
    return dict(zip([*names, 'background'], counts[:-1].tolist(), strict=True))


def class_weights(pixels: dict[str, int]) -> dict[str, float]:
    """w_c = N_total / (C N_c) (embedding U-Net paper, Section 5), so that each class has the same weight in all; C counts the background.

    Raises:
        ValueError: a class without a pixel.
    """
    if empty := [name for name, count in pixels.items() if not count]:
        raise ValueError(f'no pixel of {", ".join(map(repr, empty))}: the weight would be infinite; leave the class out or add images')
    total = sum(pixels.values())
    return {name: total / (len(pixels) * count) for name, count in pixels.items()}
