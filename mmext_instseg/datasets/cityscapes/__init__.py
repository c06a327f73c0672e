"""Cityscapes: the panoptic data set, and the conversion of instances for mmdet's `CityscapesDataset`."""

from .instances import convert_split
from .panoptic import CityscapesPanopticDataset

__all__ = ['CityscapesPanopticDataset', 'convert_split']
