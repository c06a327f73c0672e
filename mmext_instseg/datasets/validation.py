"""Checks of a COCO file before training: everything that would later crash, or be dropped in silence.

One pass collects `Finding`s; `load_coco` then stops, or leaves the bad records out of what it returns. The file itself is only
read. COCO instances, LVIS and COCO panoptic JSON are understood.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from mmengine.logging import print_log

from ..structures.coco_masks import decode_segmentation, segmentation_runs
from .image_files import MAX_PIXELS, check_complete, image_size

MAX_UNREADABLE = 0.001  # share of the images
KINDS = {'categories': 'category', 'images': 'image', 'annotations': 'annotation'}
Problems = Iterator[tuple[str, str]]  # (severity, problem)


@dataclass(frozen=True)
class Finding:
    """Something in a COCO file that training can't use as it is.

    Attributes:
        kind: 'categories', 'images' or 'annotations', the list that holds it.
        position: index in that list.
        name: the record with its id, e.g. 'annotation 17'.
        severity: 'error'; 'unreadable': an image file that is missing or broken; 'harmless': derived or left out by itself.
        problem: what is wrong, and the way out.
    """

    kind: str
    position: int
    name: str
    severity: str
    problem: str


def load_coco(path: str | Path, image_root: str | Path | None = None, policy: str = 'error') -> dict:
    """Reads a COCO file that is fit for training: checked, with `area`, `bbox` and `iscrowd` derived where they are missing.

    Args:
        path: the JSON file.
        image_root: as in `check_coco`.
        policy: 'error' stops at anything but harmless findings; 'skip' leaves those records out (and the annotations of images left
            out) and logs how many.

    Raises:
        ValueError: as `read_coco`; with 'error', a list of what was found; with 'skip', more unreadable images than `MAX_UNREADABLE`.
    """
    if policy not in ('error', 'skip'):
        raise ValueError(f"policy must be 'error' or 'skip', not {policy!r}")
    data = read_coco(path)
    findings = check_coco(data, image_root)
    bad = [finding for finding in findings if finding.severity != 'harmless']
    if bad and policy == 'error':
        lines = [f'  {finding.name}: {finding.problem}' for finding in bad[:10]] + ['  ...'] * (len(bad) > 10)
        raise ValueError('\n'.join([f"{path}: {len(bad)} problems; correct them, or leave the records out with policy='skip':", *lines]))
    if findings:
        counts = Counter((finding.severity, finding.kind) for finding in findings)
        print_log(f'{path}: ' + ', '.join(f'{n} {severity} ({kind})' for (severity, kind), n in sorted(counts.items())), 'current')
    return clean_coco(data, findings, path)


def read_coco(path: str | Path) -> dict:
    """Reads a COCO file.

    Raises:
        ValueError: missing, not JSON, or without the lists `images`, `annotations` and `categories`; names the file.
    """
    try:
        data = json.loads(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ValueError(f'{path}: can not be read ({error.strerror}); correct the path') from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not a JSON file ({error}); export the annotations anew') from None
    for kind in KINDS:
        records = data.get(kind) if isinstance(data, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ValueError(f'{path}: not a COCO file, it has no list of objects {kind!r}; convert or export it as COCO JSON')
    return data


def check_coco(data: dict, image_root: str | Path | None = None) -> list[Finding]:
    """Checks every record.

    Args:
        data: as `read_coco` gives it; not changed.
        image_root: folder that `file_name` is relative to; None leaves the image files alone. Their headers and last bytes are
            read; only those that seem cut off are decoded.
    """
    categories = {record['id'] for record in data['categories'] if _is_id(record.get('id'))}
    images: dict[Any, dict] = {}
    for record in data['images']:
        if _is_id(record.get('id')):
            images.setdefault(record['id'], record)
    return [
        *_check_list(data, 'categories', _category_problems),
        *_check_list(data, 'images', lambda record: _image_problems(record, image_root)),
        *_check_list(data, 'annotations', lambda record: _annotation_problems(record, images, categories)),
    ]


def clean_coco(data: dict, findings: Iterable[Finding], path: str | Path = '') -> dict:
    """A copy without the records that the findings name, and with the derived fields; see `load_coco`."""
    bad = defaultdict(set)
    for finding in findings:
        if finding.severity != 'harmless':
            bad[finding.kind].add(finding.position)
    unreadable = len({finding.position for finding in findings if finding.severity == 'unreadable'})
    if unreadable > MAX_UNREADABLE * len(data['images']):
        raise ValueError(
            f'{path}: {unreadable} of {len(data["images"])} images are missing or broken, over the limit of {MAX_UNREADABLE:.1%}; '
            'correct the image folder or restore them'
        )
    kept = {kind: [record for i, record in enumerate(data[kind]) if i not in bad[kind]] for kind in KINDS}
    images = {record['id']: record for record in kept['images']}
    categories = {record['id'] for record in kept['categories']}
    kept['annotations'] = [
        _complete(record, images[record['image_id']])
        for record in kept['annotations']
        if record['image_id'] in images and ('segments_info' in record or record['category_id'] in categories)
    ]
    return {**data, **kept}


def _check_list(data: dict, kind: str, problems_of: Callable[[dict], Problems]) -> Iterator[Finding]:
    seen: set = set()
    for position, record in enumerate(data[kind]):
        # A panoptic annotation is the one of its image and has no id of its own.
        key = 'image_id' if kind == 'annotations' and 'segments_info' in record else 'id'
        value = record.get(key)
        name = f'{KINDS[kind]} {value!r}' if key == 'id' else f'{KINDS[kind]} of image {value!r}'
        if not _is_id(value):
            name, problem = f'{KINDS[kind]} at position {position}', f'{key} is {value!r}; give it an integer of its own'
            yield Finding(kind, position, name, 'error', problem)
        elif value in seen:
            yield Finding(kind, position, name, 'error', f'duplicate {key}; give each {KINDS[kind]} its own')
        else:
            seen.add(value)
        yield from (Finding(kind, position, name, *problem) for problem in problems_of(record))


def _category_problems(category: dict) -> Problems:
    if not isinstance(category.get('name'), str) or not category['name']:
        yield 'error', 'no name; give it one'


def _image_problems(image: dict, image_root: str | Path | None) -> Problems:
    size = image.get('height'), image.get('width')
    if not _is_size(size):
        yield 'error', f'height and width are {str(size)[:80]}; give the size in pixels, at most {MAX_PIXELS:,} (cut it into tiles)'
    file_name = image.get('file_name')
    if file_name is None and 'coco_url' in image:  # LVIS v1
        return
    problem = _path_problem(file_name)
    if problem:
        yield 'error', problem
    elif image_root is not None:
        path = Path(image_root) / str(file_name)
        try:
            found = image_size(path)
            check_complete(path)
        except ValueError as error:
            yield 'unreadable', str(error)
        else:
            if _is_size(size) and found != size:
                problem = f'{path} has {found[0]} x {found[1]} pixels (height x width, after EXIF rotation), the annotations say'
                yield 'error', f'{problem} {size[0]} x {size[1]}; correct the file or restore the image that was annotated'


def _path_problem(file_name: Any) -> str | None:
    if not isinstance(file_name, str) or not file_name or '\0' in file_name:
        return f'file_name is {file_name!r}; give the path relative to the image folder'
    paths = PurePosixPath(file_name), PureWindowsPath(file_name)
    if any(path.anchor or path.drive or '..' in path.parts for path in paths):
        return f'file_name {file_name!r} leads out of the image folder; write it relative to that folder, without ".."'
    return None


def _annotation_problems(annotation: dict, images: dict[Any, dict], categories: set) -> Problems:
    image = images.get(annotation['image_id']) if _is_id(annotation.get('image_id')) else None
    if image is None:
        yield 'error', f'unknown image_id {annotation.get("image_id")!r}; add the image or remove the annotation'
    if 'segments_info' in annotation:
        yield from _panoptic_problems(annotation, categories)
        return
    if not _is_id(annotation.get('category_id')) or annotation['category_id'] not in categories:
        yield 'error', f'unknown category_id {annotation.get("category_id")!r}; add the category or remove the annotation'
    yield from _field_problems(annotation)
    if not annotation.get('segmentation'):
        yield 'error', 'no segmentation, so a box without a mask; remove the annotation or give it a mask'
    elif image is not None and _is_size((image.get('height'), image.get('width'))):
        try:
            runs = segmentation_runs(annotation['segmentation'], image['height'], image['width'])
        except ValueError as error:
            yield 'error', str(error)
        else:
            if not runs[1::2].any():
                yield 'harmless', 'the mask has no pixel inside the image; training leaves it out'


def _field_problems(annotation: dict) -> Problems:
    for key, derived in (('area', 'from the mask'), ('bbox', 'from the mask'), ('iscrowd', 'as 0')):
        if key not in annotation:
            yield 'harmless', f'no {key}; derived {derived}'
    box, area, crowd = annotation.get('bbox', [0, 0, 1, 1]), annotation.get('area', 1), annotation.get('iscrowd', 0)
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)) or min(box[2:]) < 0:
        yield 'error', f'bbox is {str(box)[:80]}; give four finite numbers [x, y, width, height], or leave bbox out to have it derived'
    elif min(box[2:]) < 1:
        yield 'harmless', "bbox is under a pixel wide or high; mmdet's readers leave the annotation out"
    if not _is_finite(area) or area < 0:
        yield 'error', f'area is {str(area)[:80]}; give a finite number of pixels, or leave area out to have it derived'
    elif area == 0:
        yield 'harmless', "area is 0; mmdet's readers leave the annotation out"
    if crowd not in (0, 1):
        yield 'error', f'iscrowd is {str(crowd)[:80]}; write 0 or 1'


def _panoptic_problems(annotation: dict, categories: set) -> Problems:
    problem = _path_problem(annotation.get('file_name'))
    if problem:
        yield 'error', problem
    segments = annotation['segments_info']
    if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
        yield 'error', 'segments_info is not a list of objects; export the annotations anew'
        return
    ids = [segment.get('id') for segment in segments]
    wrong = [one for one in ids if not isinstance(one, int) or not 0 < one < 256**3]
    if wrong:
        yield 'error', f'segment id {wrong[0]!r}; a PNG holds ids from 1 to {256**3 - 1}'
    elif len(set(ids)) < len(ids):
        yield 'error', f'segment id {Counter(ids).most_common(1)[0][0]} occurs twice; give each segment its own'
    for segment in segments:
        if not _is_id(segment.get('category_id')) or segment['category_id'] not in categories:
            yield 'error', f'segment {segment.get("id")}: unknown category_id {segment.get("category_id")!r}; add the category'
        yield from ((severity, f'segment {segment.get("id")}: {problem}') for severity, problem in _field_problems(segment))


def _complete(annotation: dict, image: dict) -> dict:
    """The annotation with `area`, `bbox` [x, y, width, height] of the mask's outer edges, and `iscrowd`."""
    if 'segments_info' in annotation or annotation.keys() >= {'area', 'bbox', 'iscrowd'}:
        return annotation
    mask = decode_segmentation(annotation['segmentation'], image['height'], image['width'])
    ends = []
    for axis in (0, 1):
        hit = np.flatnonzero(mask.any(axis=axis))
        ends.append((int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, 0))
    (x1, x2), (y1, y2) = ends
    return {'area': int(mask.sum()), 'bbox': [x1, y1, x2 - x1, y2 - y1], 'iscrowd': 0, **annotation}


def _is_size(value: tuple) -> bool:
    return all(isinstance(side, int) and side > 0 for side in value) and value[0] * value[1] <= MAX_PIXELS


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15  # False for NaN; integers may be too long for a float
