from .files import FORMATS, result_file, save_results
from .stitching import TileGrid, stitch_tiles
from .text_query import PhraseResult, TextQueryInferencer
from .tiled import TiledInferencer, array_pipeline, image_steps, read_image
from .weights import check_weights, open_detector

__all__ = [
    'FORMATS',
    'PhraseResult',
    'TextQueryInferencer',
    'TileGrid',
    'TiledInferencer',
    'array_pipeline',
    'check_weights',
    'image_steps',
    'open_detector',
    'read_image',
    'result_file',
    'save_results',
    'stitch_tiles',
]
