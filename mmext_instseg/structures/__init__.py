from .coco_masks import decode_segmentation
from .export import to_coco, to_geojson, to_labelme, write_json
from .instance_map import IGNORE, NONE, InstanceMap
from .outlines import join_rings, trace_instances, trace_mask
from .results import from_panoptic_seg, from_pred_instances, to_coco_annotations, to_panoptic_seg, to_pred_instances, to_rle

__all__ = [
    'IGNORE',
    'NONE',
    'InstanceMap',
    'decode_segmentation',
    'from_panoptic_seg',
    'from_pred_instances',
    'join_rings',
    'to_coco',
    'to_coco_annotations',
    'to_geojson',
    'to_labelme',
    'to_panoptic_seg',
    'to_pred_instances',
    'to_rle',
    'trace_instances',
    'trace_mask',
    'write_json',
]
