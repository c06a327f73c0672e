"""Which forms stand where: a scene's geometry, with the situations that make instances hard to tell apart."""

from dataclasses import dataclass, replace

import numpy as np

from .forms import STRETCH, THINGS, Form
from .sampling import Draw

MIN_SIZE = 6.0
# An object stays only if this much of it is seen: less can neither be named nor counted.
MIN_VISIBLE_PIXELS = 20
MIN_VISIBLE_SHARE = 0.35
# Room around a form for its soft edge and its shadow.
MARGIN = 7
_TRIES = 8


@dataclass(frozen=True)
class Piece:
    """A form on the pixel grid.

    Attributes:
        form (Form): The form.
        order (float): Higher is nearer to the viewer.
        look (int): Pieces with one look have one colour.
        origin (tuple[int, int]): (row, column) of the first pixel of `depth`, which is clipped to the image.
        depth (np.ndarray): Depth below the outline at pixel centres, float64; >= 0 is the object.
        area (int): Pixels of the whole form, hidden and clipped ones too.
    """

    form: Form
    order: float
    look: int
    origin: tuple[int, int]
    depth: np.ndarray
    area: int

    @property
    def window(self) -> tuple[slice, slice]:
        (row, col), (rows, cols) = self.origin, self.depth.shape
        return slice(row, row + rows), slice(col, col + cols)


def pixel_grid(form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Columns (1, w) and rows (h, 1) of the pixels that form, soft edge and shadow can reach, as whole numbers."""
    reach, (x, y) = form.radius + MARGIN, form.center
    cols = np.arange(np.floor(x - reach), np.floor(x + reach) + 2)
    rows = np.arange(np.floor(y - reach), np.floor(y + reach) + 2)
    return cols[None, :], rows[:, None]


class Layout:
    """The pieces of a scene. `add` takes a piece only if everything stays visible enough.

    Args:
        height (int): Rows of the image.
        width (int): Columns of the image.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.pieces: list[Piece] = []

    def rasterise(self, form: Form, order: float, look: int) -> Piece:
        x, y = pixel_grid(form)
        depth = form.depth(x, y)
        inside_x = (x[0] >= 0) & (x[0] < self.width)
        inside_y = (y[:, 0] >= 0) & (y[:, 0] < self.height)
        origin = max(int(y[0, 0]), 0), max(int(x[0, 0]), 0)
        return Piece(form, order, look, origin, depth[inside_y][:, inside_x], int(np.count_nonzero(depth >= 0)))

    def ids(self, pieces: list[Piece]) -> np.ndarray:
        """(height, width) int32: 0 is background, i + 1 is `pieces[i]`, painted in that order."""
        ids = np.zeros((self.height, self.width), np.int32)
        for i, piece in enumerate(pieces, 1):
            ids[piece.window][piece.depth >= 0] = i
        return ids

    def add(self, form: Form, order: float, look: int | None = None) -> Piece | None:
        """The new piece, or None (and nothing changed) where it or one behind it would be hidden too far."""
        piece = self.rasterise(form, order, len(self.pieces) if look is None else look)
        pieces = sorted([*self.pieces, piece], key=lambda p: p.order)
        seen = np.bincount(self.ids(pieces).ravel(), minlength=len(pieces) + 1)[1:]
        if any(n < max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * p.area) for n, p in zip(seen.tolist(), pieces, strict=True)):
            return None
        self.pieces = pieces
        return piece


class _Composer:
    """Draws forms and groups of forms and puts them on a layout."""

    def __init__(self, draw: Draw, height: int, width: int) -> None:
        self.draw, self.layout = draw, Layout(height, width)
        self.max_size = max(min(height, width) / 2, MIN_SIZE + 1)

    def form(self, low: float = MIN_SIZE, high: float | None = None, label: int | None = None) -> Form:
        """A form of random kind, size, place and posture."""
        draw = self.draw
        label = draw.below(len(THINGS)) if label is None else label
        size = draw.log_uniform(max(low, MIN_SIZE), self.max_size if high is None else min(high, self.max_size))
        form = Form(label, size, (0.0, 0.0), draw.direction(), draw.uniform(1, STRETCH[THINGS[label]]))
        return replace(form, center=self.place(form))

    def place(self, form: Form) -> tuple[float, float]:
        """A centre from which two thirds of the radius at least lie within the image."""
        inset = 0.67 * form.radius
        x = self.draw.uniform(inset, self.layout.width - 1 - inset)
        return x, self.draw.uniform(inset, self.layout.height - 1 - inset)

    def order(self, form: Form) -> float:
        """Smaller forms tend to be in front."""
        return -form.size * self.draw.uniform(0.6, 1.4)

    def single(self, low: float) -> Piece | None:
        form = self.form(low)
        for _ in range(_TRIES):
            if piece := self.layout.add(form, self.order(form)):
                return piece
            form = replace(form, center=self.place(form))
        return None

    def beside(self, host: Piece, form: Form, distance: float) -> Form:
        (x, y), (dx, dy) = host.form.center, self.draw.direction()
        return replace(form, center=(x + distance * dx, y + distance * dy))

    def twin(self, host: Piece) -> None:
        """One more of the same class, colour and nearly size, so close that they often overlap."""
        for _ in range(_TRIES):
            form = self.form(host.form.size * 0.9, host.form.size * 1.1, host.form.label)
            form = self.beside(host, form, host.form.size * self.draw.uniform(0.55, 1.25))
            if self.on_image(form) and self.layout.add(form, self.order(form), host.look):
                return

    def touching(self, host: Piece) -> None:
        """One pushed against the host until it would overlap by a pixel or so, and put behind it; half of them look the same."""
        same = self.draw.below(2)
        for _ in range(_TRIES):
            form = self.form(host.form.size * 0.5, host.form.size * 1.5, host.form.label if same else None)
            form = self.pushed(host, form)
            if self.on_image(form) and self.layout.add(form, host.order - 1e-3, host.look if same else None):
                return

    def pushed(self, host: Piece, form: Form) -> Form:
        (x, y), (dx, dy) = host.form.center, self.draw.direction()
        distance = host.form.radius + form.radius + 1
        while distance > 0:
            form = replace(form, center=(x + distance * dx, y + distance * dy))
            cols, rows = pixel_grid(form)
            if np.any((form.depth(cols, rows) >= 0) & (host.form.depth(cols, rows) >= 0)):
                break
            distance -= 1
        return form

    def centered(self, host: Piece, low: float = 0.3, high: float = 0.5) -> None:
        """A smaller one of another class in front of the host's middle, so that a grid of cells can't tell them apart.

        Args:
            low, high: bounds of its size as a share of the host's.
        """
        for _ in range(_TRIES):
            size = max(host.form.size * self.draw.uniform(low, high), MIN_SIZE)
            label = (host.form.label + 1 + self.draw.below(len(THINGS) - 1)) % len(THINGS)
            form = self.beside(host, self.form(size, size * 1.02, label), self.draw.uniform(0, 1.2))
            if self.layout.add(form, host.order + 1e-3):
                return

    def on_image(self, form: Form) -> bool:
        return 0 <= form.center[0] < self.layout.width and 0 <= form.center[1] < self.layout.height


def compose(draw: Draw, height: int, width: int, nested: bool = False) -> list[Piece]:
    """A scene's pieces from back to front: 3 to 10 of them, fewer only where the image has no room.

    Half of the groups are single forms; the others are pairs in equal shares: look-alikes that stand close, forms that touch, and
    forms with a common centre. A form that would be seen by less than `MIN_VISIBLE_SHARE` of its area or `MIN_VISIBLE_PIXELS`, or
    would hide another that far, is moved up to seven times, then left out.

    Args:
        nested: only every fifth group is a pair, so that about a third of the forms stand in pairs; each has a common centre and sizes
            that differ by less than a factor of two, so that SOLO puts both on one level.
    """
    composer = _Composer(draw, height, width)
    pieces_wanted = 3 + draw.below(8)
    for _ in range(4 * pieces_wanted):
        room = pieces_wanted - len(composer.layout.pieces)
        if room <= 0:
            break
        (_add_nested if nested else _add_group)(composer, room)
    return composer.layout.pieces


def _add_group(composer: _Composer, room: int) -> None:
    group = composer.draw.below(6) if room > 1 else 5
    centered = group == 2 and composer.max_size > 3 * MIN_SIZE
    # The lower bound varies, so that the smallest sizes are there but thin out: too many of them can't be named by anyone.
    host = composer.single(2.5 * MIN_SIZE if centered else composer.draw.uniform(1, 1.6) * MIN_SIZE)
    if host is None:
        return
    if group == 0:
        composer.twin(host)
    elif group == 1:
        composer.touching(host)
    elif centered:
        composer.centered(host)


def _add_nested(composer: _Composer, room: int) -> None:
    pair = room > 1 and composer.draw.below(5) == 0
    host = composer.single(2 * MIN_SIZE if pair else composer.draw.uniform(1, 1.6) * MIN_SIZE)
    if host is not None and pair:
        composer.centered(host, 0.52, 0.62)
