"""Shapes: a seeded, versioned generator of scenes for instance and panoptic segmentation, and the data set made of them."""

from .cityscapes import make_cityscapes
from .dataset import ShapesDataset, ShapesPanopticDataset, ShapesPhraseDataset, ShapesSegDataset
from .depth import make_shapes_depth
from .folder import make_shapes, shapes_folder
from .phrase_files import make_shapes_phrases, phrases_folder
from .phrases import ScenePhrase, scene_phrases
from .scene import STUFF, THINGS, VARIANTS, VERSION, Scene, SceneObject, SceneSpec
from .semantic import class_map, make_shapes_semantic, semantic_folder

__all__ = [
    'STUFF',
    'THINGS',
    'VARIANTS',
    'VERSION',
    'Scene',
    'SceneObject',
    'ScenePhrase',
    'SceneSpec',
    'ShapesDataset',
    'ShapesPanopticDataset',
    'ShapesPhraseDataset',
    'ShapesSegDataset',
    'class_map',
    'make_cityscapes',
    'make_shapes',
    'make_shapes_depth',
    'make_shapes_phrases',
    'make_shapes_semantic',
    'phrases_folder',
    'scene_phrases',
    'semantic_folder',
    'shapes_folder',
]
