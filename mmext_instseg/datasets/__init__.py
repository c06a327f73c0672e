"""Data sets and transforms."""

from . import image_files
from .cityscapes import CityscapesPanopticDataset
from .depth_dataset import DepthDataset
from .labelme import LabelMeDataset
from .multi_source_batch_sampler import MultiSourceBatchSampler
from .phrases import LVISPhraseDataset, PhraseCutDataset
from .shapes import ShapesDataset, ShapesPanopticDataset, ShapesPhraseDataset, ShapesSegDataset
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
    'LVISPhraseDataset',
    'LabelMeDataset',
    'LoadDepthMap',
    'MultiSourceBatchSampler',
    'PackDenseInputs',
    'PhraseCutDataset',
    'ShapesDataset',
    'ShapesPanopticDataset',
    'ShapesPhraseDataset',
    'ShapesSegDataset',
    'image_files',
]
