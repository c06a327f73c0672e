"""One image and all that was found in it, side by side."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image
from torch import Tensor

from ..structures import InstanceMap
from .colours import CLASS_COLOURS, UNMATCHED, colour_wheel, vector_scale, wheel_key
from .pictures import colours_of_truth, draw_class_probability, draw_instances, draw_votes, match_colours, mean_votes

_SIDE = 3.2  # inches of the longer side of an image
_DPI = 160
_MAX_NAMES = 40


def draw_panel(
    path: str | os.PathLike,
    image: np.ndarray,
    instances: InstanceMap,
    truth: InstanceMap | None = None,
    displacement: Tensor | None = None,
    foreground: Tensor | None = None,
    class_prob: Tensor | None = None,
    class_names: Sequence[str] = (),
    title: str = '',
    pictures: Mapping[str, np.ndarray] = MappingProxyType({}),
    captions: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Writes a PNG: image | displacement | votes and centres | other maps | classes | instances | ground truth, as far as given.

    Args:
        path: where to; its folder is made.
        image: (H, W, 3) uint8 RGB. Small images are enlarged without smoothing.
        instances: what was found, at the size of the image.
        truth: the ground truth, at the same size; with it matches share a colour and all else is grey (`match_colours`).
        displacement: (2, H, W) in pixels, (dx, dy) from each pixel to the centre of its object.
        foreground: (H, W) bool, where the displacement counts; None: where there are instances.
        class_prob: (C, h, w) of the thing classes, at any size.
        class_names: of the labels.
        title: of the picture.
        pictures: title of the column -> (H, W, 3) uint8 RGB, of any size; see `pictures.py` for what draws them.
        captions: title of such a column -> what stands below it.

    Returns:
        The path.
    """
    names = list(class_names)
    foreground = instances.ids > 0 if foreground is None else foreground
    columns = [lambda axes: _show(axes, image, 'image', '')]
    if displacement is not None:
        columns.append(lambda axes: _show_displacement(axes, displacement, foreground))
        columns.append(lambda axes: _show_centres(axes, image, displacement, foreground, instances, truth))
    for name, picture in pictures.items():
        columns.append(partial(_show, picture=picture, title=name, caption=captions.get(name, '')))
    if class_prob is not None:
        columns.append(lambda axes: _show_classes(axes, class_prob, names))
    if truth is None:
        columns.append(lambda axes: _show_instances(axes, image, instances, 'instances', names, None))
    else:
        of_found, of_truth = match_colours(instances, truth)
        columns.append(lambda axes: _show_instances(axes, image, instances, 'instances', names, of_found))
        columns.append(lambda axes: _show_instances(axes, image, truth, 'ground truth', names, of_truth))
    return _write_columns(path, image.shape[:2], columns, title)


def draw_side_by_side(
    path: str | os.PathLike,
    image: np.ndarray,
    found: Mapping[str, InstanceMap],
    truth: InstanceMap | None = None,
    class_names: Sequence[str] = (),
    title: str = '',
) -> Path:
    """Writes a PNG: image | what each model found | ground truth.

    Args:
        path: where to; its folder is made.
        image: (H, W, 3) uint8 RGB.
        found: title of the column -> instances, at the size of the image.
        truth: the ground truth, at the same size; with it an object has the same colour wherever its IoU exceeds 0.5, all else is grey.
        class_names: of the labels.
        title: of the picture.

    Returns:
        The path.
    """
    names = list(class_names)
    columns = [lambda axes: _show(axes, image, 'image', '')]
    for name, instances in found.items():
        colours = None if truth is None else colours_of_truth(instances, truth)
        columns.append(partial(_show_instances, image=image, instances=instances, title=name, names=names, colours=colours))
    if truth is not None:
        columns.append(lambda axes: _show_instances(axes, image, truth, 'ground truth', names, None))
    return _write_columns(path, image.shape[:2], columns, title)


def contact_sheet(paths: Sequence[str | os.PathLike], out: str | os.PathLike, width: int = 2400) -> Path:
    """Stacks pictures into one PNG of `width` pixels; at least one."""
    rows = []
    for path in paths:
        with Image.open(path) as picture:
            rows.append(
                picture.convert('RGB').resize((width, max(round(picture.height * width / picture.width), 1)), Image.Resampling.LANCZOS)
            )
    sheet = Image.new('RGB', (width, sum(row.height for row in rows)), 'white')
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(out)
    return Path(out)


def panel_factor(shape: tuple[int, int]) -> int:
    """How many times a picture of (H, W) pixels is enlarged for a panel, so that its outlines are thin."""
    return max(round(_SIDE * _DPI / max(shape)), 1)


def _write_columns(path: str | os.PathLike, shape: tuple[int, int], columns: list[Callable[[Axes], None]], title: str) -> Path:
    """Draws each column on axes of its own, for pictures of (H, W) pixels, and writes the PNG."""
    height, width = (_SIDE * side / max(shape) for side in shape)
    figure = Figure(figsize=(len(columns) * (width + 0.1), height + (0.75 if title else 0.55)), layout='constrained')
    for axes, show in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        show(axes)
    if title:
        figure.suptitle(title, fontsize=8, x=0.005, ha='left', parse_math=False)  # a file name or phrase may hold dollars
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, facecolor='white')
    return path


def _show(axes: Axes, picture: np.ndarray, title: str, caption: str, extent: tuple[float, float, float, float] | None = None) -> None:
    axes.imshow(picture, interpolation='nearest' if max(picture.shape[:2]) < _SIDE * _DPI else 'antialiased', extent=extent)
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(caption, fontsize=6)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _show_displacement(axes: Axes, displacement: Tensor, foreground: Tensor) -> None:
    """The background is faded: there the vectors mean nothing."""
    counted = displacement[:, foreground]
    longest = vector_scale(counted if counted.numel() else displacement)
    wheel = colour_wheel(displacement, longest).astype(np.float64)
    faded = np.where(foreground.cpu().numpy()[..., None], wheel, 0.85 * 255 + 0.15 * wheel)
    _show(
        axes, np.round(faded).astype(np.uint8), 'displacement', f'hue: direction to the centre; strength: distance, up to {longest:.0f} px'
    )
    height, width = (side // 5 for side in foreground.shape)
    # The corner with the fewest objects; axes run upwards.
    corners = {(x, y): foreground[-height:] if y == 0 else foreground[:height] for y in (0, 1) for x in (0, 1)}
    x, y = min(corners, key=lambda xy: int((corners[xy][:, :width] if xy[0] == 0 else corners[xy][:, -width:]).sum()))
    key = axes.inset_axes((0.015 + 0.8 * x, 0.015 + 0.8 * y, 0.17, 0.17), zorder=3)
    key.imshow(wheel_key(), interpolation='antialiased')
    key.axis('off')


def _show_centres(
    axes: Axes, image: np.ndarray, displacement: Tensor, foreground: Tensor, instances: InstanceMap, truth: InstanceMap | None
) -> None:
    caption = 'light: votes; + mean vote of an object found'
    _show(axes, draw_votes(image, displacement, foreground), 'votes and centres', caption if truth is None else f'{caption}; o true centre')
    edge = [withStroke(linewidth=2, foreground='black')]
    if truth is not None:
        x, y = truth.centroids[truth.areas > 0].cpu().T
        axes.plot(x, y, 'o', markersize=6, markerfacecolor='none', markeredgecolor='white', markeredgewidth=0.8, path_effects=edge)
    x, y = mean_votes(displacement, instances)[instances.areas > 0].T
    axes.plot(x, y, '+', markersize=6, color='#56B4E9', markeredgewidth=1.2, path_effects=edge)


def _show_classes(axes: Axes, probability: Tensor, names: list[str]) -> None:
    _show(axes, draw_class_probability(probability), 'class probability', '')
    for label, name in enumerate(names[: len(probability)]):
        axes.plot([], [], 's', color=CLASS_COLOURS[label % len(CLASS_COLOURS)] / 255, markersize=4, label=name)
    if 0 < len(names) <= 7:
        axes.legend(
            loc='upper center', bbox_to_anchor=(0.5, 0.0), ncols=len(names), fontsize=6, frameon=False, handletextpad=0.1, columnspacing=0.6
        )


def _show_instances(
    axes: Axes, image: np.ndarray, instances: InstanceMap, title: str, names: list[str], colours: np.ndarray | None
) -> None:
    """Label and score stand in each object, or above a small one; beyond 40 objects only at the best or largest."""
    height, width = image.shape[:2]
    factor = panel_factor((height, width))
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    caption = f'{int((instances.areas > 0).sum())} objects'
    if colours is not None:
        matched = int((colours != UNMATCHED).any(axis=1).sum())
        caption += f', {matched} matched (IoU > 0.5); grey: {"missed" if instances.scores is None else "wrong"}'
    _show(axes, draw_instances(image, instances, factor, colours=colours), title, caption, extent)
    order = instances.areas if instances.scores is None else instances.scores
    for row in order.argsort(descending=True)[:_MAX_NAMES].tolist():
        if not instances.areas[row]:
            continue
        label = int(instances.labels[row])
        text = names[label] if label < len(names) else str(label)
        if instances.scores is not None:
            text += f' {instances.scores[row]:.2f}'
        x, y = instances.centroids[row].tolist()
        top, bottom = instances.boxes[row, 1::2].tolist()
        small = bottom - top < height / 8
        stroke = [withStroke(linewidth=1.2, foreground='black')]
        style: dict[str, Any] = dict(
            fontsize=4.5, color='white', ha='center', va='bottom' if small else 'center', clip_on=True, path_effects=stroke
        )
        axes.text(x, max(top, 0.05 * height) if small else y, text, **style)
