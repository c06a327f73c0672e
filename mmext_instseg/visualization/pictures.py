"""Dense maps and instance maps as RGB arrays. Images are (H, W, 3) uint8 RGB; everything drawn on one has its size (H, W)."""

import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

from ..ops import joint_histogram, segment_mean, smooth_votes, vote_histogram
from ..structures import InstanceMap
from ..structures.results import INSTANCE_OFFSET
from .colours import CLASS_COLOURS, UNMATCHED, instance_colours


def enlarge(array: np.ndarray, factor: int) -> np.ndarray:
    """Repeats each pixel `factor` times along both axes."""
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def draw_instances(
    image: np.ndarray, instances: InstanceMap, factor: int = 1, alpha: float = 0.55, colours: np.ndarray | None = None
) -> np.ndarray:
    """Tints each instance, greyed, with its own colour and outlines it in black; ignored regions are hatched in grey.

    Args:
        image: (H, W, 3) uint8 RGB.
        instances: of the same size.
        factor: the picture is this many times larger, with outlines one of its pixels wide.
        alpha: share of the tint.
        colours: (K, 3) uint8 RGB; None: `instance_colours`.

    Returns:
        (factor * H, factor * W, 3) uint8 RGB.
    """
    _check_size(image, instances.shape)
    ids = enlarge(instances.ids.cpu().numpy(), factor)
    picture = enlarge(image, factor).astype(np.float64)
    colours = instance_colours(len(instances)) if colours is None else colours
    tint = np.concatenate([np.zeros((1, 3)), colours])[np.clip(ids, 0, None)]
    grey = picture.mean(axis=2, keepdims=True)  # so that the tint keeps its hue
    picture = np.where((ids > 0)[..., None], (1 - alpha) * grey + alpha * tint, picture)
    y, x = np.indices(ids.shape, sparse=True)
    hatch = (ids < 0) & ((x + y) // 4 % 2 == 0)
    picture[hatch] = 0.5 * picture[hatch] + 64
    picture[_outline(ids)] = 0
    return np.round(picture).astype(np.uint8)


def match_colours(instances: InstanceMap, truth: InstanceMap) -> tuple[np.ndarray, np.ndarray]:
    """One colour for what was found and its true object where their IoU exceeds 0.5 (so that there is one at most), else grey.

    Pixels that the truth ignores don't count; labels may differ.

    Args:
        instances: K of them.
        truth: K' of them, at the same size.

    Returns:
        (K, 3) and (K', 3) uint8 RGB.
    """
    found, true = _matches(instances, truth)
    of_found, of_truth = np.tile(UNMATCHED, (len(instances), 1)), np.tile(UNMATCHED, (len(truth), 1))
    of_found[found] = of_truth[true] = instance_colours(len(found))
    return of_found, of_truth


def colours_of_truth(instances: InstanceMap, truth: InstanceMap) -> np.ndarray:
    """(K, 3) uint8 RGB: the colour that `instance_colours` gives the true object where their IoU exceeds 0.5, else grey."""
    found, true = _matches(instances, truth)
    colours = np.tile(UNMATCHED, (len(instances), 1))
    colours[found] = instance_colours(len(truth))[true]
    return colours


def _matches(instances: InstanceMap, truth: InstanceMap) -> tuple[np.ndarray, np.ndarray]:
    """Rows of what was found and of the truth whose IoU exceeds 0.5, without the pixels that the truth ignores."""
    counted = truth.ids >= 0
    rows, cols = instances.ids[counted].clamp(min=0), truth.ids[counted]
    counts = joint_histogram(rows, cols, len(instances) + 1, len(truth) + 1).cpu().numpy()
    union = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0) - counts
    found, true = np.nonzero(2 * counts[1:, 1:] > union[1:, 1:])
    return found, true


def draw_votes(image: np.ndarray, displacement: Tensor, foreground: Tensor, radius: int = 2) -> np.ndarray:
    """How many foreground pixels point to each pixel, smoothed as in decoding: light on a darkened grey image (logarithmic).

    Args:
        image: (H, W, 3) uint8 RGB.
        displacement: (2, H, W) in pixels, (dx, dy).
        foreground: (H, W) bool, the pixels that vote.
        radius: of the smoothing, in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    _check_size(image, displacement.shape[1:])
    y, x = foreground.cpu().nonzero(as_tuple=True)
    target = displacement.detach().float().cpu()[:, y, x].T + torch.stack([x, y], dim=1)
    target = target[target.isfinite().all(dim=1)]
    histogram, _ = vote_histogram(target, torch.zeros(len(target), dtype=torch.int64), (1, *image.shape[:2]))
    votes = smooth_votes(histogram, radius)[0].log1p().numpy()
    light = (votes / max(votes.max(), 1e-9))[..., None]
    ground = np.repeat(0.3 * image.mean(axis=2, keepdims=True), 3, axis=2)
    heat = 255 * mpl.colormaps['inferno'](0.25 + 0.75 * light[..., 0])[..., :3]
    shown = np.clip(3 * light, 0, 1)  # lone votes fade into the image
    return np.round((1 - shown) * ground + shown * heat).astype(np.uint8)


def mean_votes(displacement: Tensor, instances: InstanceMap) -> Tensor:
    """Where the pixels of each instance point to on average: (K, 2) float32 (x, y) on the CPU, 0 where the area is 0.

    Args:
        displacement: (2, H, W) in pixels, (dx, dy).
        instances: of the same size.
    """
    y, x = (instances.ids > 0).nonzero(as_tuple=True)
    votes = displacement[:, y, x].T.float() + torch.stack([x, y], dim=1)
    return segment_mean(votes, instances.ids[y, x].long() - 1, len(instances)).float().cpu()


def draw_class_probability(probability: Tensor, colours: np.ndarray = CLASS_COLOURS) -> np.ndarray:
    """Each class in its colour, mixed by probability; what is left to 1 (background) is white.

    Args:
        probability: (C, H, W) in [0, 1], without the background.
        colours: (N, 3) uint8 RGB; class c takes row c modulo N.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    share = probability.detach().float().clamp(0, 1).permute(1, 2, 0).cpu().numpy().astype(np.float64)
    mixed = share @ np.asarray(colours, dtype=np.float64)[np.arange(share.shape[2]) % len(colours)]
    white = 255 * np.clip(1 - share.sum(axis=2, keepdims=True), 0, 1)
    return np.round(np.clip(mixed + white, 0, 255)).astype(np.uint8)


def draw_scalar(values: Tensor, colormap: str = 'viridis', low: float | None = None, high: float | None = None) -> np.ndarray:
    """Numbers as colours: (H, W) -> (H, W, 3) uint8 RGB; what isn't finite is grey.

    Args:
        colormap: a name of matplotlib's.
        low, high: of the colours' ends; None: the 1st and 99th percentile, so that single values don't set the scale.
    """
    array = values.detach().double().cpu().numpy()
    finite = np.isfinite(array)
    seen = array[finite] if finite.any() else np.zeros(1)
    low = float(np.percentile(seen, 1)) if low is None else low
    high = float(np.percentile(seen, 99)) if high is None else high
    share = np.clip((np.where(finite, array, low) - low) / max(high - low, 1e-9), 0, 1)
    return np.where(finite[..., None], np.round(255 * mpl.colormaps[colormap](share)[..., :3]), 150).astype(np.uint8)


def draw_panoptic(panoptic: Tensor, num_things: int, num_classes: int, offset: int = INSTANCE_OFFSET) -> np.ndarray:
    """A panoptic map: stuff in the muted colour of its class, things in colours of their own, void white, borders black.

    Args:
        panoptic: (H, W) integers as mmdet's `pred_panoptic_seg`: class + offset * instance; `num_classes` is void.
        num_things, num_classes: thing classes come first.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    ids = panoptic.cpu().numpy()
    label = ids % offset
    _, number = np.unique(np.where(label < num_things, ids, -1), return_inverse=True)
    number = number.reshape(ids.shape)
    things = instance_colours(int(number.max()) + 1)[number]
    muted = 0.45 * CLASS_COLOURS + 0.55 * 128
    picture = np.where((label < num_things)[..., None], things, muted[(label - num_things) % len(muted)])
    picture = np.where((label >= num_classes)[..., None], 255, picture)
    picture[_outline(ids)] = 0
    return np.round(picture).astype(np.uint8)


def _outline(ids: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels that differ from the one above or to the left."""
    outline = np.zeros(ids.shape, dtype=bool)
    outline[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    outline[1:] |= ids[1:] != ids[:-1]
    return outline


def _check_size(image: np.ndarray, shape: tuple[int, ...]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'an image is (H, W, 3) uint8, not {image.shape} {image.dtype}')
    if image.shape[:2] != tuple(shape):
        raise ValueError(f'the image has {image.shape[:2]} pixels, what is drawn on it {tuple(shape)}; resize one of them')
