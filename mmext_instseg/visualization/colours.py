"""Colours that mean something: directions as hues, instances that stay apart, also for colour-blind readers."""

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb
from torch import Tensor

#: Of an object without a counterpart.
UNMATCHED = np.array((150, 150, 150), dtype=np.uint8)

#: Seven colours of Okabe and Ito's palette, as (7, 3) uint8 RGB; black stays free for outlines.
CLASS_COLOURS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (204, 121, 167), (0, 114, 178), (240, 228, 66)], dtype=np.uint8
)


def colour_wheel(vectors: Tensor, longest: float | None = None) -> np.ndarray:
    """Vectors as colours: the hue is the direction, the saturation the length; a zero vector is white.

    To the right is red, down yellow-green, to the left cyan, up violet: `wheel_key` shows it.

    Args:
        vectors: (2, H, W), (dx, dy) with y downwards; values that aren't finite become black.
        longest: the length of full saturation, longer ones look the same; None: the 99th percentile of the lengths.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    x, y = vectors.detach().double().cpu().numpy()
    length = np.hypot(x, y)
    finite = np.isfinite(length)
    if longest is None:
        longest = vector_scale(vectors)
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    hsv = np.stack([hue, np.clip(length / longest, 0, 1), np.ones_like(hue)], axis=-1)
    rgb = hsv_to_rgb(np.where(finite[..., None], hsv, 0.0))
    return np.round(255 * rgb).astype(np.uint8)


def vector_scale(vectors: Tensor) -> float:
    """The 99th percentile of the lengths of (2, H, W) vectors, those that are finite; at least a tiny number above 0."""
    length = torch.linalg.vector_norm(vectors.detach().double().cpu(), dim=0).numpy()
    length = length[np.isfinite(length)]
    return max(float(np.percentile(length, 99)) if length.size else 0.0, 1e-9)


def wheel_key(size: int = 96) -> np.ndarray:
    """The legend of `colour_wheel`: a disc of all vectors up to full saturation, (size, size, 4) uint8 RGBA, clear outside."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing='ij')
    disc = (torch.hypot(x, y) <= 1).numpy().astype(np.uint8) * 255
    return np.dstack([colour_wheel(torch.stack([x, y]), longest=1.0), disc])


def instance_colours(count: int) -> np.ndarray:
    """(count, 3) uint8 RGB: `CLASS_COLOURS`, then the same lighter, then darker; from 21 on they repeat."""
    base = CLASS_COLOURS.astype(np.float64)
    cycle = np.concatenate([base, base + 0.5 * (255 - base), 0.6 * base])
    return np.round(cycle[np.arange(count) % len(cycle)]).astype(np.uint8)
