"""DCME's priority list (Section III): classes by ascending number of training instances, from any annotation of ours."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..structures import write_json
from .cityscapes.instances import Track, check_thing_names, list_segments, read_instance_ids
from .cityscapes.labels import INSTANCE_FACTOR, THINGS
from .validation import read_coco


def count_instances(source: str | Path, classes: Sequence[str] | None = None, track: Track | None = None) -> dict[str, int]:
    """Instances of each thing class; crowds don't count.

    Args:
        source: COCO instances or COCO panoptic JSON, or the gtFine folder of a Cityscapes split.
        classes: those of the data set, in its order; None: all that the source has.
        track: wraps the files of a folder and a description, to show progress.

    Returns:
        Counts by name, in the order of `classes`.

    Raises:
        ValueError: nothing to read; a class that the source lacks; classes in another order than a JSON file's, which is the one
            in which mmdet numbers labels; an unreadable PNG. Names the file.
    """
    if Path(source).is_dir():
        return _count_cityscapes(Path(source), classes, track)
    data = read_coco(source)
    names = {category['id']: str(category.get('name')) for category in data['categories'] if category.get('isthing', 1)}
    chosen = list(names.values()) if classes is None else list(classes)
    if unknown := [name for name in chosen if name not in names.values()]:
        raise ValueError(f'{source}: no thing class {unknown[0]!r}; it has {", ".join(names.values())}')
    in_order = [name for name in names.values() if name in chosen]
    if chosen != in_order:
        raise ValueError(f'{source}: mmdet numbers classes in the order of the file: name each once, {" ".join(map(repr, in_order))}')
    segments = [one for annotation in data['annotations'] for one in annotation.get('segments_info', [annotation])]
    counts = Counter(names.get(one.get('category_id')) for one in segments if not one.get('iscrowd', 0))
    return {name: counts[name] for name in chosen}


def _count_cityscapes(folder: Path, classes: Sequence[str] | None, track: Track | None) -> dict[str, int]:
    labels = {label.name: label.id for label in THINGS}
    names = list(labels) if classes is None else check_thing_names(classes)
    paths = sorted(folder.glob('*/*_gtFine_instanceIds.png'))
    if not paths:
        raise ValueError(f'{folder}: no <city>/*_gtFine_instanceIds.png there; give the folder of a split, such as gtFine/train')
    counts: Counter[int] = Counter()
    for path in track(paths, 'Counting') if track else paths:
        ids, found = list_segments(read_instance_ids(path), path)
        counts.update(found[ids >= INSTANCE_FACTOR].tolist())
    return {name: counts[labels[name]] for name in names}


def rank_classes(counts: dict[str, int]) -> dict[str, list]:
    """What the priority file holds: 'classes' and their 'instances', and 'priority', the classes by ascending number, of equal ones
    the earlier class first."""
    classes, instances = list(counts), list(counts.values())
    order = np.argsort(instances, kind='stable').tolist()
    return {'classes': classes, 'instances': instances, 'priority': [classes[i] for i in order]}


def write_class_priority(path: str | Path, counts: dict[str, int]) -> None:
    """Writes the file that `GridClassHead(priority=path)` reads."""
    write_json(path, rank_classes(counts), overwrite=True)
