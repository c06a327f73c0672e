"""Depth maps on disk."""

import io
from pathlib import Path

import cv2
import numpy as np

from .image_files import check_complete, image_size


def read_depth_map(path: str | Path, scale: float = 1.0) -> np.ndarray:
    """Reads a PNG of one channel (8 or 16 bits) or an NPY array (numbers).

    Args:
        path: the file.
        scale: what one unit of the file is worth: 0.001 for millimetres (NYUv2 in mmseg's layout), 1 / 5000 for TUM RGB-D.

    Returns:
        (H, W) float32, stored value * scale; 0 or less means unknown.

    Raises:
        ValueError: missing or unreadable; more than one channel; NaN or infinity; no value above 0. Names the file.
    """
    stored = _read_npy(path) if Path(path).suffix == '.npy' else _read_image(path)
    if stored.ndim != 2 or stored.dtype.kind not in 'uif':
        raise ValueError(f'{path}: a depth map is (height, width) of numbers, this is {stored.shape} of {stored.dtype}; convert the file')
    depth = stored.astype(np.float32) * np.float32(scale)
    if not np.isfinite(depth).all():
        raise ValueError(f'{path}: {np.count_nonzero(~np.isfinite(depth))} pixels are NaN or infinite; write 0 where depth is unknown')
    if not (depth > 0).any():
        raise ValueError(f'{path}: no pixel is above 0, so no depth is known; remove the image or restore the file')
    return depth


def _read_npy(path: str | Path) -> np.ndarray:
    try:
        return np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f'{path}: no such depth map; correct the path or make the file') from None
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f'{path}: not an NPY array of numbers ({error}); restore the file or write it with numpy.save') from None


def _read_image(path: str | Path) -> np.ndarray:
    if not Path(path).is_file():
        raise ValueError(f'{path}: no such depth map; correct the path or make the file')
    content = Path(path).read_bytes()
    image_size(content, str(path))
    check_complete(content, str(path))
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise ValueError(f'{path}: damaged; restore the file')
    return stored
