"""The five thing classes as analytic forms: a signed depth below the outline, from half-planes and circles."""

from dataclasses import dataclass

import numpy as np

THINGS = ('circle', 'square', 'triangle', 'star', 'ring')

# Circumradius over size, where size is the diameter of the disc of equal area: a name must not show in the area.
_CIRCUMRADIUS = {'circle': 0.5, 'square': 0.626657, 'triangle': 0.777560, 'star': 0.731081, 'ring': 0.598684}
# The largest `Form.stretch` of each.
STRETCH = {'circle': 1.08, 'square': 1.2, 'triangle': 1.15, 'star': 1.06, 'ring': 1.08}
_RING_HOLE = 0.55
_STAR_VALLEY = 0.5
# Cosine and sine of 0, 72, 144, 216, 288 degrees, and of 36 degrees.
_FIFTHS = (
    (1.0, 0.0),
    (0.309016994374947, 0.951056516295154),
    (-0.809016994374947, 0.587785252292473),
    (-0.809016994374947, -0.587785252292473),
    (0.309016994374947, -0.951056516295154),
)
_COS36, _SIN36 = 0.809016994374947, 0.587785252292473


@dataclass(frozen=True)
class Form:
    """One placed object.

    Attributes:
        label (int): Index into `THINGS`.
        size (float): Diameter of the disc of equal area, in pixels.
        center (tuple[float, float]): (x, y) of the form's centre, in pixel indices.
        axis (tuple[float, float]): Unit vector of the form's own x axis.
        stretch (float): Factor along that axis, its inverse across; 1 is regular.
    """

    label: int
    size: float
    center: tuple[float, float]
    axis: tuple[float, float]
    stretch: float

    @property
    def radius(self) -> float:
        """No point of the form is further from its centre (pixels)."""
        return _CIRCUMRADIUS[THINGS[self.label]] * self.size * self.stretch

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Depth below the outline at points (x, y), in pixels (approximate where stretched): >= 0 inside, < 0 outside."""
        (ax, ay), name = self.axis, THINGS[self.label]
        dx, dy = x - self.center[0], y - self.center[1]
        u, v = (dx * ax + dy * ay) / self.stretch, (dy * ax - dx * ay) * self.stretch
        return _DEPTHS[name](u, v, _CIRCUMRADIUS[name] * self.size)


def _circle(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    return radius - np.sqrt(u * u + v * v)


def _ring(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    r = np.sqrt(u * u + v * v)
    return np.minimum(radius - r, r - _RING_HOLE * radius)


def _square(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    return 0.7071067811865476 * radius - np.maximum(np.abs(u), np.abs(v))


def _triangle(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    slope = 0.5 * u + 0.8660254037844386 * np.abs(v)
    return 0.5 * radius - np.maximum(-u, slope)


def _star(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    """Turned so that the nearest tip points along +u, one half-plane bounds it: the line from tip to valley."""
    along, across = u, np.abs(v)
    for cos, sin in _FIFTHS[1:]:
        turned = u * cos + v * sin
        nearer = turned > along
        across = np.where(nearer, np.abs(v * cos - u * sin), across)
        along = np.where(nearer, turned, along)
    nx, ny = _STAR_VALLEY * _SIN36, 1 - _STAR_VALLEY * _COS36
    length = 0.6640655130520275  # of (nx, ny)
    return ((radius - along) * nx - across * ny) / length


_DEPTHS = {'circle': _circle, 'square': _square, 'triangle': _triangle, 'star': _star, 'ring': _ring}
