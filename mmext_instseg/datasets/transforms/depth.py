"""Depth in a pipeline: from the file, and in step with the image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from ...registry import TRANSFORMS
from ..depth_files import read_depth_map
from .check_annotations import promises_truth

KINDS = ('metric', 'relative')


@TRANSFORMS.register_module()
class LoadDepthMap(BaseTransform):
    """Loads the depth map of an image, before the geometric transforms.

    Of those, `AlignedResize`, `DenseRandomFlip` and `DenseRandomCrop` (and mmcv's `RandomResize` and `RandomChoiceResize` with
    `resize_type='AlignedResize'`) take depth along; they and `PackDenseInputs` stop where another one moved the image alone. An image
    without any truth, as in inference, passes unchanged.

    Required keys: img, img_path; depth_map_path unless `path` is given.
    Added keys: gt_depth_map (H, W) float32, 0 or less where unknown; depth_kind; depth_map_path; depth_scale.

    Args:
        kind: 'metric' (metres) or 'relative' (pseudo labels like disparity: larger is nearer, in any unit).
        scale: what one unit of the file is worth, as `read_depth_map`.
        path: pattern of the file's path with '{stem}' for the image's name without its ending, for depth beside any data set:
            'data/coco/depth/train2017/{stem}.png'. None: the data set names the file.

    Raises:
        ValueError: an argument out of its range; from `transform`, naming the file: as `read_depth_map`, another size than the
            image's, or an image that was resized, flipped or cropped before.
    """

    def __init__(self, kind: str, scale: float = 1.0, path: str | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"LoadDepthMap: kind must be 'metric' or 'relative', not {kind!r}")
        if not (0 < scale < float('inf')):
            raise ValueError(f'LoadDepthMap: scale must be above 0, not {scale!r}')
        if path is not None and '{stem}' not in path:
            raise ValueError(f"LoadDepthMap: path must have {{stem}} where the image's name goes, not {path!r}")
        self.kind, self.scale, self.path = kind, scale, path

    def transform(self, results: dict) -> dict:
        """Adds gt_depth_map and where it comes from."""
        if not promises_truth(results):
            return results
        path = self._find(results)
        depth, shape = read_depth_map(path, self.scale), results['img'].shape[:2]
        if results.get('homography_matrix') is not None:
            raise ValueError(f'{path}: loaded after the image was resized, flipped or cropped; put LoadDepthMap right after the image')
        if depth.shape != shape:
            raise ValueError(
                f'{path}: the depth map has {depth.shape[0]} x {depth.shape[1]} pixels (height x width), the image '
                f'{results["img_path"]} {shape[0]} x {shape[1]} (after EXIF rotation); make it at the size of the image'
            )
        results.update(gt_depth_map=depth, depth_kind=self.kind, depth_map_path=path, depth_scale=self.scale)
        return results

    def _find(self, results: dict) -> str:
        if self.path is not None:
            return self.path.replace('{stem}', Path(results['img_path']).stem)
        if results.get('depth_map_path') is None:
            raise ValueError(
                f"{results['img_path']}: the data set names no depth map; use DepthDataset, or LoadDepthMap(path='folder/{{stem}}.png')"
            )
        return results['depth_map_path']

    def __repr__(self) -> str:
        return f'{type(self).__name__}(kind={self.kind!r}, scale={self.scale}, path={self.path!r})'


def move_depth(results: dict, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Does to gt_depth_map, where there is one, what was done to the image, and notes up to which step of the image it came along."""
    if results.get('gt_depth_map') is not None:
        results['gt_depth_map'] = change(results['gt_depth_map'])
        results['depth_homography'] = results['homography_matrix']


def check_depth_moved(results: dict) -> None:
    """Raises ValueError, naming the image, if a transform moved it and left gt_depth_map where it was."""
    image, depth = (results.get(key, np.eye(3)) for key in ('homography_matrix', 'depth_homography'))
    if results.get('gt_depth_map') is not None and not np.array_equal(image, depth):
        raise ValueError(
            f'{results.get("img_path")}: the image was resized, flipped or cropped without gt_depth_map; use AlignedResize, '
            'DenseRandomFlip and DenseRandomCrop in the place of Resize, RandomFlip and RandomCrop'
        )
