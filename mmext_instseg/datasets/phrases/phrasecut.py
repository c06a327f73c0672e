"""PhraseCut as phrases."""

import json
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from ...registry import DATASETS
from .phrase_dataset import PhraseDataset, PhraseImage, make_instance, need

Lost = dict[str, Counter[str]]  # what is left out -> how often, by task

_TRIES = 10
_SHAPE = 'Polygons is a list of instances, each a list of polygons, each a list of points [x, y]; restore the published file'


@DATASETS.register_module()
class PhraseCutDataset(PhraseDataset):
    """PhraseCut as published: VGPhraseCut_v0 with refer_<split>.json, image_data_split.json and images/<image id>.jpg.

        dict(type='PhraseCutDataset', data_root='data/VGPhraseCut_v0/', ann_file='refer_test.json', test_mode=True, pipeline=[...])

    A split is a refer file: a list of tasks with `task_id`, `image_id`, `phrase` and `Polygons`, a list of instances, each a list of
    polygons, each a list of points [x, y]; `ann_ids` and `instance_boxes` are as long where they are there. Sizes come from the image
    file, whose images are not all needed. Boxes are taken from the polygons, and polygons are filled as COCO's, which differs from the
    published evaluator by a part of the border pixels.

    A task whose list of instances is empty has a negative phrase (ours; Shapes has such). PhraseCut has none; so where an image has none,
    training takes a phrase of another image, as CLIPSeg does, whose noun (`phrase_structure.name`) no task of the image has.

    Polygons of fewer than three points are left out, as are instances without any other or with a box that `make_instance` refuses, and
    tasks without any other instance; one warning counts them and names the tasks.

    Args:
        ann_file: refer file.
        image_file: JSON list of images with `image_id`, `height`, `width`.
        templates: as `PhraseDataset`; by default the phrase as it is.
        **kwargs: as `PhraseDataset`.

    Raises:
        ValueError: a file that can't be read or isn't such a list; a task without a key, with an unknown image, lists of different
            lengths, an empty phrase, or polygons that aren't lists of numbers. Names file and task.
    """

    def __init__(
        self,
        ann_file: str = '',
        image_file: str = 'image_data_split.json',
        data_prefix: dict = dict(img='images/'),
        templates: Sequence[str] = ('{}',),
        **kwargs,
    ) -> None:
        self.image_file = image_file
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, templates=templates, **kwargs)

    def read_images(self) -> Iterator[PhraseImage]:
        """See `PhraseImage`."""
        path = self.ann_file
        image_file = Path(self.data_root or '', self.image_file)
        sizes = {}
        for record in _read_list(image_file):
            name = f'{image_file}: image {record.get("image_id")!r}'
            sizes[need(record, 'image_id', name)] = need(record, 'height', name), need(record, 'width', name)
        tasks: dict[Any, list[dict]] = {}
        for task in _read_list(path):
            name = _name(path, task)
            if (image := need(task, 'image_id', name)) not in sizes:
                raise ValueError(f'{name}: image {image!r} is not in {image_file}; take both files from one release')
            tasks.setdefault(image, []).append(task)
        lost: Lost = defaultdict(Counter)
        for image, found in tasks.items():
            yield self._read_image(image, found, sizes[image], lost)
        if lost:
            print_log(f'{path}: left out {"; ".join(_describe(kind, lost[kind]) for kind in lost)}', 'current', logging.WARNING)

    def _read_image(self, image: Any, tasks: list[dict], shape: tuple[int, int], lost: Lost) -> PhraseImage:
        height, width = shape
        positives, negatives, nouns = [], [], {}
        for task in tasks:
            name = _name(self.ann_file, task)
            phrase, given = need(task, 'phrase', name), need(task, 'Polygons', name)
            if not isinstance(phrase, str) or not phrase.strip():
                raise ValueError(f'{name}: the phrase is {phrase!r}; give it a text or remove the task')
            phrase = phrase.strip()
            nouns[phrase] = (task.get('phrase_structure') or {}).get('name') or phrase
            kept = _read_instances(task, name, height, width, lost)
            if kept:
                positives.append(((phrase,), kept))
            elif not given:
                negatives.append(phrase)
        path = str(Path(self.data_prefix.get('img') or '', f'{image}.jpg'))
        info = {'img_id': image, 'img_path': path, 'height': height, 'width': width}
        return PhraseImage(info if self.test_mode else {**info, 'nouns': nouns}, positives, tuple(negatives))

    def draw_negative(self, info: dict) -> str | None:
        """One of the image's own, else a phrase of another image; None where ten tries find no other noun."""
        if info['negatives']:
            return random.choice(info['negatives'])
        for _ in range(_TRIES):
            other = self.get_data_info(random.randrange(len(self)))
            phrase = other['phrases'][0]
            if other['nouns'][phrase] not in info['nouns'].values():
                return phrase
        return None


def _read_instances(task: dict, name: str, height: int, width: int, lost: Lost) -> list[dict]:
    """The instances of a task; what is left out is counted in `lost`."""
    given = task['Polygons']
    if not isinstance(given, list):
        raise ValueError(f'{name}: {_SHAPE}')
    for key in ('ann_ids', 'instance_boxes'):
        if key in task and len(task[key]) != len(given):
            raise ValueError(f'{name}: {len(given)} instances in Polygons, {len(task[key])} in {key}; restore the published file')
    kept = []
    for polygons in given:
        if not isinstance(polygons, list) or not all(map(_is_polygon, polygons)):
            raise ValueError(f'{name}: {_SHAPE}')
        whole = [_points(polygon, name) for polygon in polygons if len(polygon) > 2]
        if short := len(polygons) - len(whole):
            lost['polygons of fewer than 3 points'][str(task['task_id'])] += short
        if whole:
            corners = np.concatenate(whole).clip(0, (width, height))
            low, size = corners.min(axis=0), np.ptp(corners, axis=0)
            one = make_instance([*low.tolist(), *size.tolist()], [points.ravel().tolist() for points in whole], height, width)
            if one:
                kept.append(one)
            else:
                lost['instances under 1 pixel wide or high'][str(task['task_id'])] += 1
    return kept


def _describe(kind: str, tasks: Counter[str]) -> str:
    """'12 polygons of fewer than 3 points (2 tasks: 7__0, 7__1)'."""
    shown = ', '.join(list(tasks)[:10]) + ', ...' * (len(tasks) > 10)
    return f'{tasks.total()} {kind} ({len(tasks)} tasks: {shown})'


def _is_polygon(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(point, list) for point in value)


def _points(polygon: list, name: str) -> np.ndarray:
    try:
        points = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f'{name}: {_SHAPE}')
    return points


def _name(path: str | Path, task: dict) -> str:
    number = need(task, 'task_id', f'{path}: a task of image {task.get("image_id")!r}')
    return f'{path}: task {number!r}'


def _read_list(path: str | Path) -> list[dict]:
    try:
        records = json.loads(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ValueError(f'{path}: can not be read ({error.strerror}); correct the path') from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not a JSON file ({error}); restore the published file') from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f'{path}: not a list of objects; take refer_<split>.json and image_data_split.json as published')
    return records
