"""Shapes: a seeded, versioned generator of scenes for instance and panoptic segmentation, and the data set made of them."""

from .cityscapes import make_cityscapes
from .dataset import ShapesDataset, ShapesPanopticDataset
from .depth import make_shapes_depth
from .folder import make_shapes, shapes_folder
from .scene import STUFF, THINGS, VARIANTS, VERSION, Scene, SceneObject, SceneSpec

__all__ = [
    'STUFF',
    'THINGS',
    'VARIANTS',
    'VERSION',
    'Scene',
    'SceneObject',
    'SceneSpec',
    'ShapesDataset',
    'ShapesPanopticDataset',
    'make_cityscapes',
    'make_shapes',
    'make_shapes_depth',
    'shapes_folder',
]
