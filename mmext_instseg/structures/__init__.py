from .coco_masks import decode_segmentation
from .instance_map import IGNORE, NONE, InstanceMap
from .results import from_panoptic_seg, from_pred_instances, to_coco_annotations, to_panoptic_seg, to_pred_instances, to_rle

__all__ = [
    'IGNORE',
    'NONE',
    'InstanceMap',
    'decode_segmentation',
    'from_panoptic_seg',
    'from_pred_instances',
    'to_coco_annotations',
    'to_panoptic_seg',
    'to_pred_instances',
    'to_rle',
]
