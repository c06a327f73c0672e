"""Instance maps as COCO JSON, LabelMe JSON and GeoJSON.

Results of any detector come through `from_pred_instances`. Outlines run along pixel edges and are exact unless a tolerance is given; see
`outlines`.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from .instance_map import InstanceMap
from .outlines import join_rings, trace_instances
from .results import to_coco_annotations

LABELME_VERSION = '5.5.0'  # whose keys are written; 4.x and later open it


def to_coco(images: Iterable[tuple[str, InstanceMap]], classes: Sequence[str], polygons: bool = False, tolerance: float = 0) -> dict:
    """COCO instances JSON.

    Args:
        images: pairs of `file_name` and instances.
        classes: names of the labels; a label's category id is one more.
        polygons: outlines instead of compressed RLE. COCO's polygons have no holes: a hole is joined to its outline by a cut of no width,
            which pycocotools rasterises exactly.
        tolerance: of the polygons, as in `trace_instances`.

    Returns:
        images, annotations and categories; ids count from 1. Annotations have `score` where the instances have; rows without pixels are
        left out.

    Raises:
        ValueError: a label without a class name; names the image.
    """
    infos: list[dict] = []
    annotations: list[dict] = []
    for number, (file_name, instances) in enumerate(images, 1):
        height, width = instances.shape
        infos.append({'id': number, 'file_name': file_name, 'height': height, 'width': width})
        outlines = trace_instances(instances, tolerance) if polygons else []
        measured = to_coco_annotations(instances)
        for index, _, properties in _rows(instances, classes, file_name):
            one = measured[index]
            segmentation: Any = {**one['segmentation'], 'counts': one['segmentation']['counts'].decode('ascii')}
            if polygons:
                segmentation = [join_rings(rings).ravel().tolist() for rings in outlines[index]]
            fields = {'segmentation': segmentation, 'category_id': one['category_id'] + 1, 'iscrowd': 0}
            score = {'score': properties['score']} if 'score' in properties else {}
            annotations.append({'id': len(annotations) + 1, 'image_id': number, **one, **fields, **score})
    categories = [{'id': number, 'name': name} for number, name in enumerate(classes, 1)]
    return {'images': infos, 'annotations': annotations, 'categories': categories}


def to_labelme(instances: InstanceMap, classes: Sequence[str], image_path: str | PurePath, tolerance: float = 0) -> dict:
    """LabelMe 5 JSON of polygons, to be opened and corrected in LabelMe; `LabelMeDataset` reads the same instances back.

    Parts of one instance share a `group_id`, which is its id. LabelMe's polygons have no holes: a hole is joined to its outline by a cut
    of no width (its 'mask' shapes could hold one, but can't be edited, and versions before 5.3 don't know them).

    Args:
        instances: those of one image.
        classes: names of the labels.
        image_path: of the image, relative to where the JSON will lie.
        tolerance: as in `trace_instances`; about 1 gives outlines that are easy to edit.

    Raises:
        ValueError: a label without a class name.
    """
    outlines = trace_instances(instances, tolerance)
    shapes = []
    for index, name, properties in _rows(instances, classes, image_path):
        group = index + 1 if len(outlines[index]) > 1 else None
        for rings in outlines[index]:
            points = join_rings(rings).astype(np.float64).tolist()
            shape = {'label': name, 'points': points, 'group_id': group, 'description': '', 'shape_type': 'polygon', 'flags': {}}
            shapes.append(shape | {key: value for key, value in properties.items() if key == 'score'})
    height, width = instances.shape
    image = {'imagePath': PurePath(image_path).as_posix(), 'imageData': None, 'imageHeight': height, 'imageWidth': width}
    return {'version': LABELME_VERSION, 'flags': {}, 'shapes': shapes, **image}


def to_geojson(
    instances: InstanceMap,
    classes: Sequence[str],
    transform: Sequence[float] | None = None,
    crs: str | None = None,
    tolerance: float = 0,
) -> dict:
    """GeoJSON: a feature an instance, a Polygon with holes or a MultiPolygon, with `label`, `area` in pixels and, if there is one, `score`.

    Args:
        instances: those of one image.
        classes: names of the labels.
        transform: (a, b, c, d, e, f) in the order of rasterio and affine: x = a col + b row + c, y = d col + e row + f, where
            (col, row) = (0, 0) is the outer corner of the first pixel. An `affine.Affine` will do; GDAL's own order is (c, a, b, f, d, e).
            None: pixels, y downwards.
        crs: name of the coordinate system, such as 'EPSG:32637'. None: none is named, which readers take for WGS 84 (RFC 7946).
        tolerance: in pixels, as in `trace_instances`.

    Returns:
        A FeatureCollection; outer rings run counterclockwise where y points up, holes clockwise. A feature's id is the instance's.

    Raises:
        ValueError: a transform that isn't six finite numbers or maps the plane on a line; a label without a class name.
    """
    matrix, offset = _affine(transform)
    outlines = trace_instances(instances, tolerance)
    features = []
    for index, name, properties in _rows(instances, classes, 'GeoJSON'):
        parts = [[_close(ring @ matrix + offset, hole=number > 0) for number, ring in enumerate(rings)] for rings in outlines[index]]
        single = len(parts) == 1
        geometry = {'type': 'Polygon' if single else 'MultiPolygon', 'coordinates': parts[0] if single else parts}
        features.append({'type': 'Feature', 'id': index + 1, 'properties': {'label': name, **properties}, 'geometry': geometry})
    named = {} if crs is None else {'crs': {'type': 'name', 'properties': {'name': _urn(crs)}}}
    return {'type': 'FeatureCollection', **named, 'features': features}


def write_json(path: str | Path, data: Any, overwrite: bool = False) -> None:
    """Writes a JSON file whole or not at all, and its folder if need be.

    Raises:
        ValueError: the file is there already and `overwrite` isn't set.
    """
    write_text(path, json.dumps(data, ensure_ascii=False, allow_nan=False), overwrite)


def write_text(path: str | Path, text: str, overwrite: bool = False) -> None:
    """Writes a text file (UTF-8) as `write_json` does."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise ValueError(f'{path} is there already; move or delete it, or choose another place')
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    try:
        partial.write_text(text, encoding='utf-8')
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _rows(instances: InstanceMap, classes: Sequence[str], image: str | PurePath) -> Iterator[tuple[int, str, dict]]:
    """Row, class name and properties of every instance that has pixels."""
    labels, areas = instances.labels.tolist(), instances.areas.tolist()
    scores = [None] * len(labels) if instances.scores is None else instances.scores.tolist()
    for index, (label, area, score) in enumerate(zip(labels, areas, scores, strict=True)):
        if not 0 <= label < len(classes):
            raise ValueError(f'{image}: instance {index + 1} has label {label}, but there are {len(classes)} class names; name them all')
        if area:
            yield index, classes[label], {'area': area} | ({} if score is None else {'score': round(score, 6)})


def _affine(transform: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """What (col, row) is multiplied by from the right, and what is added."""
    if transform is None:
        return np.eye(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
    values = [float(value) for value in transform]
    if len(values) not in (6, 9) or not all(map(isfinite, values)) or values[0] * values[4] == values[1] * values[3]:
        raise ValueError(f'transform: six finite numbers (a, b, c, d, e, f) with a e - b d other than 0 are needed, not {values}')
    a, b, c, d, e, f = values[:6]  # Affine has a third row, 0, 0, 1
    return np.array([[a, d], [b, e]]), np.array([c, f])


def _close(ring: np.ndarray, hole: bool) -> list[list[float]]:
    """A ring as RFC 7946 has it: the first point again at the end, the area on the left."""
    x, y = (ring - ring[0]).T
    clockwise = x @ np.roll(y, -1) < y @ np.roll(x, -1)
    points = (ring if clockwise == hole else ring[::-1]).tolist()
    return [*points, points[0]]


def _urn(crs: str) -> str:
    """'EPSG:32637' in the form that GDAL writes and every reader knows; other names as they are."""
    authority, _, code = crs.partition(':')
    return f'urn:ogc:def:crs:EPSG::{code}' if authority.upper() == 'EPSG' and code.isdecimal() else crs
