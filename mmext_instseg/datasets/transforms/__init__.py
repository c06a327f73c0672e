from .aligned_resize import AlignedResize
from .check_annotations import CheckAnnotations
from .generate_instance_map import GenerateInstanceMap
from .pack_dense_inputs import PackDenseInputs

__all__ = ['AlignedResize', 'CheckAnnotations', 'GenerateInstanceMap', 'PackDenseInputs']
