"""The seeded scene: (version, variant, size, seed, index) names one, bit for bit, on every machine."""

from dataclasses import dataclass

import numpy as np

from .forms import THINGS
from .layout import Layout, Piece, compose
from .render import STUFF, VARIANTS, color_name, piece_hues, render, stuff_regions
from .sampling import Draw

VERSION = 'v1'
MIN_SIDE = 32


@dataclass(frozen=True)
class SceneObject:
    """One object, for writers of phrases and of polygons.

    Attributes:
        name (str): Class, one of `THINGS`.
        color (str): English colour name.
        hue (float): Hue in [0, 1).
        size (float): Diameter of the disc that has the area of the whole form, in pixels.
        center (tuple[float, float]): (x, y) of the whole form's centre, in pixel indices.
        area (int): Visible pixels.
    """

    name: str
    color: str
    hue: float
    size: float
    center: tuple[float, float]
    area: int


@dataclass(frozen=True)
class Scene:
    """A picture and its truth.

    Attributes:
        image (np.ndarray): (H, W, 3) uint8 RGB.
        ids (np.ndarray): (H, W) int32; 0 is none, 1..K are visible masks, numbered from back to front.
        labels (np.ndarray): (K,) int64 indices into `THINGS`.
        stuff (np.ndarray): (H, W) uint8 indices into `STUFF`; what the background is, behind objects too.
        objects (tuple[SceneObject, ...]): K rows, in the order of the ids.
    """

    image: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    stuff: np.ndarray
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class SceneSpec:
    """What names a series of scenes; checked when made.

    Attributes:
        variant (str): 'standard' (colour says something about class); 'hard', the same scenes in colours that say nothing; 'nested',
            other scenes, coloured as 'standard', in which about a third of the objects stand in pairs with a common centre.
        size (tuple[int, int]): (height, width) in pixels, each at least 32.
        seed (int): At least 0.

    Raises:
        ValueError: A value is out of its range.
    """

    variant: str = 'standard'
    size: tuple[int, int] = (128, 128)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f'Shapes has no variant {self.variant!r}; choose one of {", ".join(VARIANTS)}.')
        size = tuple(self.size) if isinstance(self.size, (tuple, list)) else ()
        if len(size) != 2 or not all(isinstance(side, int) and side >= MIN_SIDE for side in size):
            raise ValueError(f'Shapes: size must be (height, width), two whole numbers of at least {MIN_SIDE}, not {self.size!r}.')
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f'Shapes: seed must be a whole number of at least 0, not {self.seed!r}.')
        object.__setattr__(self, 'size', size)

    def pieces(self, index: int) -> list[Piece]:
        """What stands in scene number `index` (from 0) of the series, from back to front."""
        return compose(Draw(*self._key(index), 0), *self.size, nested=self.variant == 'nested')

    def scene(self, index: int) -> Scene:
        """Scene number `index` (from 0) of the series."""
        return self.show(index, self.pieces(index))

    def show(self, index: int, pieces: list[Piece]) -> Scene:
        """Scene number `index` from its pieces."""
        (height, width), key = self.size, self._key(index)
        hues = piece_hues(Draw(*key, 1), pieces, self.variant)
        stuff = stuff_regions(Draw(*key, 2), height, width)
        image = render(Draw(*key, 3), stuff, pieces, hues)
        ids = Layout(height, width).ids(pieces)
        areas = np.bincount(ids.ravel(), minlength=len(pieces) + 1)[1:].tolist()
        objects = tuple(
            SceneObject(THINGS[piece.form.label], color_name(hue), hue, piece.form.size, piece.form.center, area)
            for piece, hue, area in zip(pieces, hues, areas, strict=True)
        )
        labels = np.array([piece.form.label for piece in pieces], np.int64)
        return Scene(image, ids, labels, stuff, objects)

    def _key(self, index: int) -> tuple[int, ...]:
        return (int(VERSION[1:]), *self.size, self.seed, index)


__all__ = ['STUFF', 'THINGS', 'VARIANTS', 'VERSION', 'Scene', 'SceneObject', 'SceneSpec']
