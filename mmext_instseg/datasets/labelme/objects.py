"""The shapes of one LabelMe file as objects with masks.

Pixels are those of COCO's rasterisation, (0, 0) being the outer corner of the first pixel, as LabelMe draws its points.
"""

import base64
import binascii
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ...structures.coco_masks import segmentation_runs

AREA_TYPES = ('polygon', 'rectangle', 'oriented_rectangle', 'circle', 'mask')
_CIRCLE_ERROR = 0.1  # px between a circle and its polygon (ours): half of pycocotools' own step


@dataclass(frozen=True)
class LabelMeObject:
    """One object of an image.

    Attributes:
        label: as it stands in the file.
        segmentation: COCO's: polygons [[x1, y1, x2, y2, ...], ...], whose union is the object, or compressed RLE (counts as text) where
            a shape of type 'mask' belongs to it.
        bbox: (x1, y1, x2, y2) outer pixel edges of the mask.
        area: pixels inside the image, at least 1.
    """

    label: str
    segmentation: list[list[float]] | dict
    bbox: tuple[float, float, float, float]
    area: int


@dataclass(frozen=True)
class Part:
    """A shape that has pixels: its polygon, None for a bitmap, and its mask as COCO's compressed RLE."""

    polygon: list[float] | None
    rle: dict


def read_objects(shapes: list, shape: tuple[int, int], path: Any) -> tuple[list[LabelMeObject], Counter, list[str]]:
    """Joins shapes of one label and one `group_id` to objects.

    Args:
        shapes: of a LabelMe file; a rectangle may have two corners or four, a circle is its centre and a point of the rim, and a shape
            without type is a polygon (LabelMe 3).
        shape: (H, W) of the image.
        path: what to call the file in errors.

    Returns:
        the objects in the order of their first shape; how many shapes of each type without area (point, line, ...) were left out;
        and a line for each other shape that was left out because it has no pixel.

    Raises:
        ValueError: a shape without label, with points that are no finite numbers or far off, or with a damaged bitmap; names the file
            and the shape's position.
    """
    parts: dict[tuple, list[Part]] = {}
    without_area: Counter = Counter()
    problems = []
    for position, one in enumerate(shapes):
        label = one.get('label') if isinstance(one, dict) else None
        if not isinstance(label, str) or not label:
            raise ValueError(f'{path}: shape {position} has no label; name it in LabelMe or delete it')
        kind = one.get('shape_type') or 'polygon'
        if kind not in AREA_TYPES:
            without_area[str(kind)] += 1
            continue
        part = _read_part(one, kind, shape, f'{path}: shape {position} ({label!r}, {kind})')
        if isinstance(part, str):
            problems.append(part)
            continue
        group = one.get('group_id')
        parts.setdefault((label, 'shape', position) if group is None else (label, 'group', str(group)), []).append(part)
    return [_join(key[0], of_one) for key, of_one in parts.items()], without_area, problems


def _read_part(one: dict, kind: str, shape: tuple[int, int], name: str) -> Part | str:
    """The shape's mask, or why it has none."""
    points = _points(one.get('points'), name)
    polygon = None
    if kind == 'mask':
        if not len(points):
            return f'{name}: no corner of its box'
        rle = _bitmap(one.get('mask'), points.min(axis=0), shape, name)
    else:
        corners = _corners(points, kind)
        if len(corners) < 3:
            return f'{name}: {len(points)} points are too few'
        polygon = corners.ravel().tolist()
        runs = segmentation_runs([polygon], *shape, name=name)
        rle = coco_mask.frPyObjects({'size': list(shape), 'counts': runs.tolist()}, *shape)
    if not coco_mask.area(rle):
        return f'{name}: no pixel inside the image of {shape[0]} x {shape[1]} (height x width)'
    return Part(polygon, rle)


def _points(points: Any, name: str) -> np.ndarray:
    """(N, 2) float64."""
    try:
        array = np.asarray(points or np.zeros((0, 2)), dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise ValueError(f'{name}: points are {str(points)[:60]!r}, not pairs of finite numbers; draw the shape anew or delete it')
    return array


def _corners(points: np.ndarray, kind: str) -> np.ndarray:
    """(N, 2) corners of the polygon that a shape is."""
    if kind == 'rectangle' and len(points) == 2:
        (x1, y1), (x2, y2) = points
        return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    if kind == 'circle':
        if len(points) != 2:
            return points[:0]
        radius = math.dist(*points)
        # The middle of a chord lies radius * (1 - cos(pi / N)) inside.
        count = max(math.ceil(math.pi / math.acos(max(1 - _CIRCLE_ERROR / radius, 0))), 12) if radius else 12
        angles = np.arange(count) * (2 * math.pi / count)
        return points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return points


def _bitmap(text: Any, corner: np.ndarray, shape: tuple[int, int], name: str) -> dict:
    """RLE of the PNG that a shape of type 'mask' (LabelMe 5.3) has for its box."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        content = b''
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if stored is None:
        raise ValueError(f'{name}: its bitmap is missing or damaged; draw the shape anew or delete it')
    x, y = np.clip(np.rint(corner), -max(stored.shape), max(shape)).astype(int).tolist()
    mask = np.zeros(shape, dtype=np.uint8, order='F')
    inside = stored[max(-y, 0) : max(shape[0] - y, 0), max(-x, 0) : max(shape[1] - x, 0)]
    mask[max(y, 0) : max(y, 0) + inside.shape[0], max(x, 0) : max(x, 0) + inside.shape[1]] = inside > 0
    return coco_mask.encode(mask)


def _join(label: str, parts: list[Part]) -> LabelMeObject:
    rle = coco_mask.merge([part.rle for part in parts]) if len(parts) > 1 else parts[0].rle
    x, y, width, height = coco_mask.toBbox(rle).tolist()
    polygons = [part.polygon for part in parts if part.polygon is not None]
    segmentation = polygons if len(polygons) == len(parts) else {'size': list(rle['size']), 'counts': rle['counts'].decode('ascii')}
    return LabelMeObject(label, segmentation, (x, y, x + width, y + height), int(coco_mask.area(rle)))
