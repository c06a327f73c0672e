from .aligned_resize import AlignedResize
from .check_annotations import CheckAnnotations
from .depth import LoadDepthMap
from .generate_instance_map import GenerateInstanceMap
from .pack_dense_inputs import PackDenseInputs
from .random_geometry import DenseRandomCrop, DenseRandomFlip

__all__ = [
    'AlignedResize',
    'CheckAnnotations',
    'DenseRandomCrop',
    'DenseRandomFlip',
    'GenerateInstanceMap',
    'LoadDepthMap',
    'PackDenseInputs',
]
