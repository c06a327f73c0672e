from mmcv.transforms import BaseTransform

from ...registry import TRANSFORMS
from ...structures.coco_masks import parse_segmentation

_TRUTH = ('sample_idx', 'instances', 'segments_info', 'seg_map_path', 'depth_map_path')  # mmengine's data sets give the first one


@TRANSFORMS.register_module()
class CheckAnnotations(BaseTransform):
    """Stops at annotations that mmdet would drop in silence or hand to native code that crashes.

    Goes between `LoadImageFromFile` and `LoadAnnotations`: a NaN in a polygon otherwise ends the data worker with a segmentation
    fault (pycocotools 2.0.11). Not needed for a file that tools/check_annotations.py finds correct. Changes nothing.
    """

    def transform(self, results: dict) -> dict:
        """See `check_instances`."""
        check_instances(results)
        return results


def promises_truth(results: dict) -> bool:
    """Whether an image comes from a data set, or with annotations or depth of its own.

    False for those that mmdet's `DetInferencer` and `inference_detector` make of a path or an array: steps that load or change truth
    pass them through.
    """
    return any(results.get(key) is not None for key in _TRUTH)


def check_instances(results: dict) -> None:
    """Compares what a data set gave an mmdet pipeline with what `LoadAnnotations` can use.

    Args:
        results: with `instances` (dicts; `mask`: polygons or RLE), and where present `ori_shape` (H, W) of the decoded image and
            `height`, `width` of the annotation file.

    Raises:
        ValueError: the image's size isn't the file's; an instance with a box but without a mask; a mask that
            `parse_segmentation` refuses. Names the image's path and the instance's position in `instances`.
    """
    if 'ori_shape' not in results and 'height' not in results:  # an image that no file describes
        return
    path = results.get('img_path')
    shape = results['ori_shape'] if 'ori_shape' in results else (results['height'], results['width'])
    told = results.get('height', shape[0]), results.get('width', shape[1])
    if tuple(shape) != told:
        raise ValueError(
            f'{path}: the image has {shape[0]} x {shape[1]} pixels (height x width, after EXIF rotation), the annotation file says '
            f'{told[0]} x {told[1]}; correct the file or restore the image that was annotated'
        )
    if 'segments_info' in results:  # panoptic: the masks stand in a PNG
        return
    for position, instance in enumerate(results.get('instances', ())):
        name = f'{path}: instance {position} (label {instance.get("bbox_label")}, box {instance.get("bbox")})'
        if 'mask' not in instance:
            raise ValueError(f'{name}: a box without a mask; remove the annotation or give it a segmentation')
        parse_segmentation(instance['mask'], *shape, name=name)
