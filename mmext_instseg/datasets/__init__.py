"""Data sets and transforms."""

from . import image_files
from .cityscapes import CityscapesPanopticDataset
from .shapes import ShapesDataset
from .transforms import CheckAnnotations, GenerateInstanceMap, PackDenseInputs

__all__ = ['CheckAnnotations', 'CityscapesPanopticDataset', 'GenerateInstanceMap', 'PackDenseInputs', 'ShapesDataset', 'image_files']
