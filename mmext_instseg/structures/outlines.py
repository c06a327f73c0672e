"""Outlines of masks, along the edges of their pixels.

Corners have integer coordinates, (0, 0) being the outer corner of the first pixel, so that COCO's rasterisation of an outline gives the
mask back, pixel for pixel. OpenCV follows pixel centres; on a mask of twice the size these round to the edges.
"""

import cv2
import numpy as np
from scipy.spatial import cKDTree
from shapely import Polygon

from .instance_map import InstanceMap

Rings = list[np.ndarray]  # of one connected part: the outer ring, then its holes


def trace_mask(mask: np.ndarray) -> list[Rings]:
    """Outlines of a mask.

    Pixels that touch only at a corner belong to different parts, which makes every part a valid polygon (OGC's sense).

    Args:
        mask: (H, W) bool.

    Returns:
        The parts; each a list of rings (N, 2) int64, (x, y) of the corners, not closed: first the outer one, then the holes.
        Temporary memory about 4 H W bytes.
    """
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return [_trace_part(parts, number, boxes[number]) for number in range(1, count)]


def _trace_part(parts: np.ndarray, number: int, box: np.ndarray) -> Rings:
    x, y, width, height = box[:4].tolist()
    doubled = (parts[y : y + height, x : x + width] == number).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = []
    for index in np.argsort(hierarchy[0, :, 3] >= 0, kind='stable'):  # the one without a parent is the outer ring
        corners = (contours[index][:, 0].astype(np.int64) + 1) // 2
        rings.append(corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)] + (x, y))
    return rings


def trace_instances(instances: InstanceMap, tolerance: float = 0) -> list[list[Rings]]:
    """Outlines of every instance, on the CPU.

    Args:
        instances: K instances.
        tolerance: 0: exact. Above: fewer corners, the outline moves by at most so many pixels (`simplify`).

    Returns:
        K lists of parts as `trace_mask` gives them, empty where the area is 0; float64 if simplified.

    Raises:
        ValueError: `tolerance` is below 0 or not finite.
    """
    if not 0 <= tolerance < float('inf'):
        raise ValueError(f'tolerance must be 0 or more pixels, not {tolerance!r}')
    ids = instances.ids.cpu().numpy()
    found = []
    for number, (x1, y1, x2, y2) in enumerate(instances.boxes.cpu().long().tolist(), 1):
        parts = [[ring + (x1, y1) for ring in rings] for rings in trace_mask(ids[y1:y2, x1:x2] == number)] if x2 > x1 else []
        found.append([simplify(rings, tolerance) for rings in parts] if tolerance else parts)
    return found


def simplify(rings: Rings, tolerance: float) -> Rings:
    """Douglas and Peucker's simplification of one part; it stays a valid polygon with the same holes."""
    simple = Polygon(rings[0], rings[1:]).simplify(tolerance, preserve_topology=True)
    return [np.array(ring.coords)[:-1] for ring in (simple.exterior, *simple.interiors)]


def join_rings(rings: Rings) -> np.ndarray:
    """One ring for a part with holes, for formats that have none: a cut of no width leads to each hole and back.

    Filled by the even-odd rule, as COCO, OpenCV, Pillow and Qt do it, the area is that of the part.

    Returns:
        (N, 2), not closed; the outer ring itself where there is no hole.
    """
    joined = rings[0]
    for hole in rings[1:]:
        distances, nearest = cKDTree(joined).query(hole)
        start = int(distances.argmin())
        at = int(nearest[start])
        joined = np.concatenate([joined[: at + 1], np.roll(hole, -start, axis=0), hole[start : start + 1], joined[at:]])
    return joined
