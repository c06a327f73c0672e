"""Data sets and transforms."""

from . import image_files
from .cityscapes import CityscapesPanopticDataset
from .depth_dataset import DepthDataset
from .labelme import LabelMeDataset
from .shapes import ShapesDataset, ShapesPanopticDataset
from .transforms import (
    AlignedResize,
    CheckAnnotations,
    DenseRandomCrop,
    DenseRandomFlip,
    GenerateInstanceMap,
    LoadDepthMap,
    PackDenseInputs,
)

__all__ = [
    'AlignedResize',
    'CheckAnnotations',
    'CityscapesPanopticDataset',
    'DenseRandomCrop',
    'DenseRandomFlip',
    'DepthDataset',
    'GenerateInstanceMap',
    'LabelMeDataset',
    'LoadDepthMap',
    'PackDenseInputs',
    'ShapesDataset',
    'ShapesPanopticDataset',
    'image_files',
]
