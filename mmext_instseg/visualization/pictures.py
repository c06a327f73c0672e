"""Dense maps and instance maps as RGB arrays. Images are (H, W, 3) uint8 RGB; everything drawn on one has its size (H, W)."""

import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

from ..ops import segment_mean
from ..structures import InstanceMap
from .colours import CLASS_COLOURS, instance_colours


def enlarge(array: np.ndarray, factor: int) -> np.ndarray:
    """Repeats each pixel `factor` times along both axes."""
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def draw_instances(image: np.ndarray, instances: InstanceMap, factor: int = 1, alpha: float = 0.55) -> np.ndarray:
    """Tints each instance with its own colour and outlines it in black; ignored regions are hatched in grey.

    Args:
        image: (H, W, 3) uint8 RGB.
        instances: of the same size.
        factor: the picture is this many times larger, with outlines one of its pixels wide.
        alpha: share of the tint.

    Returns:
        (factor * H, factor * W, 3) uint8 RGB.
    """
    _check_size(image, instances.shape)
    ids = enlarge(instances.ids.cpu().numpy(), factor)
    picture = enlarge(image, factor).astype(np.float64)
    tint = np.concatenate([np.zeros((1, 3)), instance_colours(len(instances))])[np.clip(ids, 0, None)]
    picture = np.where((ids > 0)[..., None], (1 - alpha) * picture + alpha * tint, picture)
    y, x = np.indices(ids.shape, sparse=True)
    hatch = (ids < 0) & ((x + y) // 4 % 2 == 0)
    picture[hatch] = 0.5 * picture[hatch] + 64
    outline = np.zeros(ids.shape, dtype=bool)
    outline[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    outline[1:] |= ids[1:] != ids[:-1]
    picture[outline] = 0
    return np.round(picture).astype(np.uint8)


def draw_votes(image: np.ndarray, displacement: Tensor, foreground: Tensor) -> np.ndarray:
    """How many foreground pixels point to each pixel, as light on a darkened grey image (logarithmic).

    Args:
        image: (H, W, 3) uint8 RGB.
        displacement: (2, H, W) in pixels, (dx, dy).
        foreground: (H, W) bool, the pixels that vote.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    _check_size(image, displacement.shape[1:])
    height, width = image.shape[:2]
    y, x = np.nonzero(foreground.cpu().numpy())
    dx, dy = displacement.detach().float().cpu().numpy()[:, y, x]
    column, row = np.floor(x + dx + 0.5), np.floor(y + dy + 0.5)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)  # False for NaN as well
    cells = row[inside].astype(np.int64) * width + column[inside].astype(np.int64)
    votes = np.log1p(np.bincount(cells, minlength=height * width).reshape(height, width))
    light = votes / max(votes.max(), 1e-9)
    ground = np.repeat(0.3 * image.mean(axis=2, keepdims=True), 3, axis=2)
    heat = 255 * mpl.colormaps['inferno'](0.25 + 0.75 * light)[..., :3]
    return np.round(np.where((votes > 0)[..., None], heat, ground)).astype(np.uint8)


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


def _check_size(image: np.ndarray, shape: tuple[int, ...]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'an image is (H, W, 3) uint8, not {image.shape} {image.dtype}')
    if image.shape[:2] != tuple(shape):
        raise ValueError(f'the image has {image.shape[:2]} pixels, what is drawn on it {tuple(shape)}; resize one of them')
