"""Shapes: a seeded, versioned generator of scenes for instance and panoptic segmentation, and the data set made of them."""

from .cityscapes import make_cityscapes
from .dataset import ShapesDataset
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
    'make_cityscapes',
    'make_shapes',
    'shapes_folder',
]
