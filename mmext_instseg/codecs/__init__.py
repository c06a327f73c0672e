from .base import BaseCodec
from .box_distance import BoxDistanceCodec
from .centroid_alternatives import BinnedCentroidCodec, DirectCentroidCodec
from .centroid_grid import CentroidGridCodec
from .dcme import DCMECodec
from .embedding import EmbeddingCodec
from .pe_centroid import PECentroidCodec, positional_code, rotate_code

__all__ = [
    'BaseCodec',
    'BinnedCentroidCodec',
    'BoxDistanceCodec',
    'CentroidGridCodec',
    'DCMECodec',
    'DirectCentroidCodec',
    'EmbeddingCodec',
    'PECentroidCodec',
    'positional_code',
    'rotate_code',
]
