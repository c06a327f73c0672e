from .base import BaseCodec
from .centroid_alternatives import BinnedCentroidCodec, DirectCentroidCodec
from .centroid_grid import CentroidGridCodec
from .dcme import DCMECodec
from .embedding import EmbeddingCodec
from .pe_centroid import PECentroidCodec, positional_code, rotate_code

__all__ = [
    'BaseCodec',
    'BinnedCentroidCodec',
    'CentroidGridCodec',
    'DCMECodec',
    'DirectCentroidCodec',
    'EmbeddingCodec',
    'PECentroidCodec',
    'positional_code',
    'rotate_code',
]
