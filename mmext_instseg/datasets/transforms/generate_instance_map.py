import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from ...registry import TRANSFORMS
from ...structures import IGNORE, InstanceMap
from ...structures.coco_masks import segmentation_runs
from ...structures.painting import paint_ids, paint_runs
from .check_annotations import check_instances, promises_truth


@TRANSFORMS.register_module()
class GenerateInstanceMap(BaseTransform):
    """Turns the masks of one image into an `InstanceMap`, which travels from the worker in their place.

    Comes after the geometric transforms. Instances flagged in `gt_ignore_flags` (crowds) become the ignored region; those
    that are hidden or have left the frame lose their row. Memory beyond `gt_masks` doesn't grow with the number of instances. An image
    without any truth, as in inference, passes unchanged.

    Required keys: gt_masks (`BitmapMasks` or `PolygonMasks`), gt_bboxes_labels, gt_ignore_flags (optional), gt_seg_map (panoptic).
    Added key: gt_instance_map. Removed key: gt_masks.

    Args:
        overlap: 'top' or 'ignore', as in `InstanceMap.from_masks`.
        min_area: instances with fewer visible pixels lose their row and their pixels are ignored.
        num_things: for `LoadPanopticAnnotations`, which needs it: the number of thing classes, whose labels come first in `gt_seg_map`.
            Thing pixels there that no instance covers (crowds) are ignored.

    Raises:
        ValueError: from `transform`, naming the image: masks missing, unusable, or of another size than the image; and the
            errors of `check_instances`.
    """

    def __init__(self, overlap: str = 'top', min_area: int = 1, num_things: int | None = None) -> None:
        if overlap not in ('top', 'ignore'):
            raise ValueError(f"overlap must be 'top' or 'ignore', not {overlap!r}")
        self.overlap = overlap
        self.min_area = min_area
        self.num_things = num_things

    def transform(self, results: dict) -> dict:
        """Adds gt_instance_map (H, W of the transformed image, on the CPU) and removes gt_masks."""
        if 'gt_masks' not in results and not promises_truth(results):
            return results
        path = results.get('img_path')
        check_instances(results)
        self._check_keys(results, path)
        masks, labels = results.pop('gt_masks'), np.asarray(results['gt_bboxes_labels'], dtype=np.int64)
        crowd = np.asarray(results.get('gt_ignore_flags', np.zeros(len(labels))), dtype=bool)
        if not len(masks) == len(labels) == len(crowd):
            raise ValueError(f'{path}: {len(masks)} masks, {len(labels)} labels, {len(crowd)} ignore flags; load all of them together')
        paint = self._paint_polygons if isinstance(masks, PolygonMasks) else self._paint_bitmaps
        ids, areas = paint(masks, crowd, path)
        if self.num_things is not None:
            ids[(ids == 0) & (results['gt_seg_map'] < self.num_things)] = IGNORE
        made = InstanceMap.from_ids(torch.from_numpy(ids), torch.from_numpy(labels[~crowd]))
        made.lost = torch.from_numpy(areas) - made.areas
        results['gt_instance_map'] = self._drop_small(made)
        return results

    def _check_keys(self, results: dict, path: str | None) -> None:
        for key, cure in (('gt_masks', 'with_mask=True'), ('gt_bboxes_labels', 'with_label=True')):
            if key not in results:
                raise ValueError(f'{path}: no {key}; load the annotations with {cure} before GenerateInstanceMap')
        if 'segments_info' in results and (self.num_things is None or 'gt_seg_map' not in results):
            raise ValueError(
                f'{path}: panoptic annotations need GenerateInstanceMap(num_things=<number of thing classes>) and '
                'LoadPanopticAnnotations(with_seg=True), else crowds would count as background'
            )
        masks = results['gt_masks']
        if not isinstance(masks, BitmapMasks | PolygonMasks):
            raise ValueError(f'{path}: gt_masks is {type(masks).__name__}; BitmapMasks or PolygonMasks is needed')
        for name, shape in (('image', results.get('img_shape')), ('gt_seg_map', getattr(results.get('gt_seg_map'), 'shape', None))):
            if shape is not None and tuple(shape[:2]) != (masks.height, masks.width):
                raise ValueError(
                    f'{path}: gt_masks have {masks.height} x {masks.width} pixels, the {name} {shape[0]} x {shape[1]}; load the '
                    'annotations before Resize and the other geometric transforms, in testing too'
                )
        rle = [i for i, instance in enumerate(results.get('instances', ())) if isinstance(instance.get('mask'), dict)]
        if isinstance(masks, PolygonMasks) and rle:
            raise ValueError(f'{path}: instance {rle[0]} is an RLE, which LoadAnnotations(poly2mask=False) drops; set poly2mask=True')

    def _paint_polygons(self, masks: PolygonMasks, crowd: np.ndarray, path: str | None) -> tuple[np.ndarray, np.ndarray]:
        height, width = masks.height, masks.width
        runs = [segmentation_runs(polygons, height, width, f'{path}: gt_masks[{i}]') for i, polygons in enumerate(masks.masks)]
        things = [one for one, ignored in zip(runs, crowd, strict=True) if not ignored]
        regions = [one for one, ignored in zip(runs, crowd, strict=True) if ignored]
        return paint_runs(things, regions, height, width, self.overlap)

    def _paint_bitmaps(self, masks: BitmapMasks, crowd: np.ndarray, path: str | None) -> tuple[np.ndarray, np.ndarray]:
        rows = masks.masks.reshape(len(masks), masks.height * masks.width)
        things = np.flatnonzero(~crowd)
        areas = np.array([np.count_nonzero(rows[i]) for i in things], dtype=np.int64)
        regions = (np.flatnonzero(rows[i] != 0) for i in np.flatnonzero(crowd))
        ids = paint_ids(areas, lambda i: np.flatnonzero(rows[things[i]] != 0), rows.shape[1], regions, self.overlap)
        return ids.reshape(masks.height, masks.width), areas

    def _drop_small(self, made: InstanceMap) -> InstanceMap:
        keep = made.areas >= max(self.min_area, 1)
        if keep.all():
            return made
        made.ids[torch.cat([keep.new_ones(1), keep])[made.ids.clamp(min=0).long()].logical_not()] = IGNORE
        return made.select(keep)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(overlap={self.overlap!r}, min_area={self.min_area}, num_things={self.num_things})'
