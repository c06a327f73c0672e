"""Cityscapes' instance annotations as COCO JSON for mmdet's `CityscapesDataset`.

Files and fields are those of mmdet's own converter (tools/dataset_converters/cityscapes.py). Each PNG is passed over once, whatever
the number of instances.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ...structures import InstanceMap, to_coco_annotations
from ..image_files import check_complete, image_size
from .labels import ID_OF, INSTANCE_FACTOR, MAX_ID, THING_NAMES

SPLITS = ('train', 'val', 'test')
_IMAGE, _IDS, _LABELS = '_leftImg8bit.png', '_gtFine_instanceIds.png', '_gtFine_labelIds.png'
Track = Callable[[Sequence[Path], str], Iterable[Path]]


def check_thing_names(classes: Iterable[str]) -> tuple[str, ...]:
    """The names, once they are known to be thing classes of Cityscapes, each named once.

    Raises:
        ValueError: they aren't.
    """
    names = tuple(classes)
    unknown = [name for name in names if name not in THING_NAMES]
    if unknown or not names or len(set(names)) < len(names):
        problem = f'{unknown[0]!r} is none' if unknown else 'name each once' if names else 'none is named'
        raise ValueError(f'classes: {problem}; the thing classes of Cityscapes are {", ".join(THING_NAMES)}')
    return names


def read_instance_ids(path: str | Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Reads an instanceIds PNG.

    Args:
        path: the file.
        shape: (H, W) of its image, compared if given.

    Returns:
        (H, W) uint16: label id * 1000 + number of an instance; label id of a group and of stuff.

    Raises:
        ValueError: missing, not to be read, of another size or kind; names the file.
    """
    found = image_size(path)
    check_complete(path)
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if ids is None:
        raise ValueError(f'{path}: can not be decoded; restore the file')
    if ids.ndim != 2 or ids.dtype != np.uint16:
        channels = 1 if ids.ndim == 2 else ids.shape[2]
        raise ValueError(f'{path}: {channels} x {ids.dtype.itemsize * 8} bits a pixel, not 16; give the *{_IDS} as published')
    if shape is not None and found != shape:
        raise ValueError(
            f'{path}: {found[0]} x {found[1]} pixels (height x width), its image has {shape[0]} x {shape[1]}; restore the pair'
        )
    return ids


def list_segments(ids: np.ndarray, name: str | Path, classes: Sequence[str] = THING_NAMES) -> tuple[np.ndarray, np.ndarray]:
    """What an id map holds of some thing classes.

    Args:
        ids: (H, W) uint16 as `read_instance_ids` gives it.
        name: what to call it in errors.
        classes: thing classes.

    Returns:
        ids (K,) int64 in ascending order, those below 1000 are crowds; and their label ids (K,) int64.

    Raises:
        ValueError: a label id that Cityscapes doesn't have.
    """
    found = np.flatnonzero(np.bincount(ids.ravel(), minlength=1 << 16))
    labels = np.where(found >= INSTANCE_FACTOR, found // INSTANCE_FACTOR, found)
    if labels.max(initial=0) > MAX_ID:
        raise ValueError(f'{name}: id {found[labels > MAX_ID][0]} has no label of Cityscapes (0 to {MAX_ID}); restore the file')
    wanted = np.isin(labels, [ID_OF[one] for one in classes])
    return found[wanted], labels[wanted]


def find_annotations(ids: np.ndarray, name: str | Path, classes: Sequence[str] = THING_NAMES) -> list[dict]:
    """COCO annotations, without ids of their own, of an id map; arguments and errors as `list_segments`."""
    segments, labels = list_segments(ids, name, classes)
    row_of = np.zeros(1 << 16, np.int32)
    row_of[segments] = np.arange(1, len(segments) + 1)
    instances = InstanceMap.from_ids(torch.from_numpy(row_of[ids]), torch.from_numpy(labels))
    annotations = to_coco_annotations(instances)
    for segment, one in zip(segments.tolist(), annotations, strict=True):
        rle = one['segmentation']
        one.update(iscrowd=int(segment < INSTANCE_FACTOR), segmentation={**rle, 'counts': rle['counts'].decode('ascii')})
    return annotations


def convert_split(root: str | Path, split: str, classes: Iterable[str] | None = None, track: Track | None = None) -> dict:
    """COCO instances of a split.

    Args:
        root: folder with leftImg8bit/ and gtFine/.
        split: 'train', 'val' or 'test'; the test split may lack gtFine/test, which holds no instances as published.
        classes: subset of the thing classes, in the order that the labels shall have; None: all eight.
        track: wraps the images and a description, to show progress.

    Returns:
        images (ids from 0 in the order of their names), annotations, and categories with Cityscapes' label ids in the order of
        `classes`, which is the order in which mmdet numbers labels.

    Raises:
        ValueError: no image; an unknown class; an instanceIds PNG as in `read_instance_ids`.
    """
    names = THING_NAMES if classes is None else check_thing_names(classes)
    folder, truths = Path(root, 'leftImg8bit', split), Path(root, 'gtFine', split)
    paths = sorted(folder.glob(f'*/*{_IMAGE}'))
    if not paths:
        raise ValueError(f'{folder}: no <city>/*{_IMAGE} there; unpack leftImg8bit_trainvaltest.zip')
    without_truth = split == 'test' and not truths.is_dir()
    images: list[dict] = []
    annotations: list[dict] = []
    for number, path in enumerate(track(paths, f'Converting {split}') if track else paths):
        city, stem = path.parent.name, path.name.removesuffix(_IMAGE)
        shape = image_size(path)
        found: list[dict] = []
        if not without_truth:
            truth = truths / city / (stem + _IDS)
            found = find_annotations(read_instance_ids(truth, shape), truth, names)
        size = {'height': shape[0], 'width': shape[1]}
        images.append({'file_name': f'{city}/{path.name}', **size, 'segm_file': f'{city}/{stem}{_LABELS}', 'id': number})
        for one in found:
            annotations.append({**one, 'image_id': number, 'id': len(annotations)})
    categories = [{'id': ID_OF[name], 'name': name} for name in names]
    return {'images': images, 'categories': categories, 'annotations': annotations}


def annotation_names(classes: Iterable[str] | None = None) -> dict[str, str]:
    """File names of the splits' COCO files and, under 'priority', of the class priority; a subset of the classes has its own."""
    suffix = '' if classes is None else '_' + '-'.join(check_thing_names(classes))
    names = {split: f'instancesonly_filtered_gtFine_{split}{suffix}.json' for split in SPLITS}
    return {**names, 'priority': f'class_priority{suffix}.json'}
