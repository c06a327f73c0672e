import mmcv
from mmdet.datasets.transforms import RandomCrop, RandomFlip

from ...registry import TRANSFORMS
from .depth import check_depth_moved, move_depth


@TRANSFORMS.register_module()
class DenseRandomFlip(RandomFlip):
    """mmdet's `RandomFlip` that flips `gt_depth_map` too; its values stay. Arguments as there."""

    def _flip(self, results: dict) -> None:
        check_depth_moved(results)
        super()._flip(results)
        move_depth(results, lambda depth: mmcv.imflip(depth, results['flip_direction']))


@TRANSFORMS.register_module()
class DenseRandomCrop(RandomCrop):
    """mmdet's `RandomCrop` that crops `gt_depth_map` too; its values stay. Arguments as there.

    Images of which no box is in the crop are skipped, as in mmdet: `allow_negative_crop=True` keeps those with stuff alone. Images
    without any boxes, of a data set of depth, always stay.
    """

    def _crop_data(self, results: dict, crop_size: tuple[int, int], allow_negative_crop: bool) -> dict | None:
        check_depth_moved(results)
        cropped = super()._crop_data(results, crop_size, allow_negative_crop)
        if cropped is not None:
            (top, left), (height, width) = self._offset, cropped['img_shape']
            move_depth(cropped, lambda depth: depth[top : top + height, left : left + width])
        return cropped

    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        self._offset = super()._rand_offset(margin)
        return self._offset
