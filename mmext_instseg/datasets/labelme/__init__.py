"""Folders of LabelMe JSON: reading, the data set, COCO conversion, splits and class weights."""

from .convert import class_pixels, class_weights, labelme_to_coco
from .dataset import LabelMeDataset
from .files import Frame, find_labelme, read_frames
from .images import LabelMeImageBackend
from .labels import check_classes
from .objects import LabelMeObject
from .splits import read_names, split_by_density, split_by_frame, split_rows

__all__ = [
    'Frame',
    'LabelMeDataset',
    'LabelMeImageBackend',
    'LabelMeObject',
    'check_classes',
    'class_pixels',
    'class_weights',
    'find_labelme',
    'labelme_to_coco',
    'read_frames',
    'read_names',
    'split_by_density',
    'split_by_frame',
    'split_rows',
]
