"""Data sets and transforms."""

from . import image_files
from .shapes import ShapesDataset
from .transforms import CheckAnnotations, GenerateInstanceMap, PackDenseInputs

__all__ = ['CheckAnnotations', 'GenerateInstanceMap', 'PackDenseInputs', 'ShapesDataset', 'image_files']
