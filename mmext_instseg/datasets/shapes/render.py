"""Colours, textures, light and shadow: how a layout becomes a picture."""

import colorsys

import numpy as np

from .forms import THINGS
from .layout import Piece, pixel_grid
from .sampling import Draw, value_noise

STUFF = ('stripes', 'dots', 'noise')
VARIANTS = ('standard', 'hard', 'nested')

# Mean hue of each class in the standard variant (degrees / 360), a fifth of the circle apart; with this triangular spread about
# 85 % of the objects have a hue nearest to their own class's mean.
MEAN_HUES = {'circle': 350 / 360, 'star': 62 / 360, 'triangle': 134 / 360, 'square': 206 / 360, 'ring': 278 / 360}
HUE_SPREAD = 0.163
_COLOR_NAMES = ((15, 'red'), (45, 'orange'), (70, 'yellow'), (160, 'green'), (200, 'cyan'), (260, 'blue'), (300, 'purple'), (345, 'pink'))


def color_name(hue: float) -> str:
    """The English name of a saturated hue in [0, 1)."""
    return next((name for limit, name in _COLOR_NAMES if hue * 360 < limit), 'red')


def paint(hue: float, saturation: float, value: float) -> np.ndarray:
    """(3,) float64 RGB in 0..255."""
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255


def piece_hues(draw: Draw, pieces: list[Piece], variant: str) -> list[float]:
    """Hue in [0, 1) of each piece; pieces of one look share it. All variants take the same numbers from the stream."""
    table = draw.array(len(pieces), 3).tolist()
    hues = []
    for piece in pieces:
        first, second, free = table[piece.look]
        hue = free if variant == 'hard' else MEAN_HUES[THINGS[piece.form.label]] + HUE_SPREAD * (first + second - 1)
        hues.append(hue % 1.0)
    return hues


def stuff_regions(draw: Draw, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 map of 1 to 3 regions, each an index into `STUFF`, with wavy borders."""
    kinds = draw.permutation(len(STUFF))[: 1 + draw.below(len(STUFF))]
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    side = min(height, width)
    distances = []
    for _ in kinds:
        cx, cy = draw.uniform(0, width), draw.uniform(0, height)
        wave = value_noise(draw, height, width, side / 4)
        distances.append(np.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)) + wave * side * 0.35)
    return np.array(kinds, np.uint8)[np.argmin(np.stack(distances), axis=0)]


def _soft(value: np.ndarray) -> np.ndarray:
    return np.clip(value, 0, 1)


def _stripes(draw: Draw, height: int, width: int) -> np.ndarray:
    (ax, ay), period, phase = draw.direction(), draw.uniform(6, 11), draw.uniform()
    position = (np.arange(width)[None, :] * ax + np.arange(height)[:, None] * ay) / period + phase
    return _soft((np.abs(2 * (position - np.floor(position)) - 1) - 0.5) * period / 2 + 0.5)


def _dots(draw: Draw, height: int, width: int) -> np.ndarray:
    (ax, ay), period = draw.direction(), draw.uniform(7, 10)
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    u, v = (x * ax + y * ay) / period + draw.uniform(), (y * ax - x * ay) / period + draw.uniform()
    u, v = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    return _soft((0.24 - np.sqrt(u * u + v * v)) * period + 0.5)


def _mottle(draw: Draw, height: int, width: int) -> np.ndarray:
    return 0.6 * value_noise(draw, height, width, 2.2) + 0.4 * value_noise(draw, height, width, 6.5)


_TEXTURES = {'stripes': _stripes, 'dots': _dots, 'noise': _mottle}


def background(draw: Draw, stuff: np.ndarray) -> np.ndarray:
    """(H, W, 3) float64 RGB in 0..255 of the stuff regions: pale colours, one texture a class, uneven light."""
    height, width = stuff.shape
    image = np.empty((height, width, 3))
    tone = draw.uniform(0.5, 0.92)
    for index, name in enumerate(STUFF):
        ground = paint(draw.uniform(), draw.uniform(0.06, 0.26), min(max(tone + draw.uniform(-0.14, 0.14), 0.4), 0.95))
        contrast = draw.uniform(0.12, 0.2) if name != 'noise' else draw.uniform(0.24, 0.34)
        texture = _TEXTURES[name](draw, height, width)
        region = stuff == index
        image[region] = ground * (1 - contrast * texture[region])[:, None]
    light = 0.92 + 0.14 * value_noise(draw, height, width, max(height, width) / 2)
    return image * light[:, :, None]


def draw_piece(image: np.ndarray, piece: Piece, color: np.ndarray, light: tuple[float, float]) -> None:
    """Blends a piece into `image` (H, W, 3) float64 in place: a soft shadow, a darker outline, shading along `light`."""
    form, view = piece.form, image[piece.window]
    cols, rows = pixel_grid(form)
    rows, cols = rows[(rows >= 0) & (rows < image.shape[0])][:, None], cols[(cols >= 0) & (cols < image.shape[1])][None, :]

    offset = min(1 + 0.05 * form.size, 3.5)
    shadow = _soft((form.depth(cols + light[0] * offset, rows + light[1] * offset) + offset) / (2 * offset))
    view *= 1 - 0.4 * shadow[:, :, None]

    outline = min(max(0.06 * form.size, 0.9), 1.9)
    slope = ((cols - form.center[0]) * light[0] + (rows - form.center[1]) * light[1]) / form.radius
    shade = (0.5 + 0.5 * _soft(piece.depth - outline + 0.5)) * (1 + 0.18 * slope)
    cover = _soft(piece.depth + 0.5)[:, :, None]
    view += cover * (color * shade[:, :, None] - view)


def render(draw: Draw, stuff: np.ndarray, pieces: list[Piece], hues: list[float]) -> np.ndarray:
    """(H, W, 3) uint8 RGB image. Objects of one hue have one colour."""
    light = draw.direction()
    image = background(draw, stuff)
    tones = draw.array(len(pieces), 2).tolist()
    for piece, hue in zip(pieces, hues, strict=True):
        first, second = tones[piece.look]
        draw_piece(image, piece, paint(hue, 0.62 + 0.25 * first, 0.78 + 0.2 * second), light)
    image += 8 * (draw.array(*image.shape) - 0.5)
    return np.floor(np.clip(image, 0, 255) + 0.5).astype(np.uint8)
