from .base import BaseCodec
from .centroid_alternatives import BinnedCentroidCodec, DirectCentroidCodec
from .centroid_grid import CentroidGridCodec
from .dcme import DCMECodec
from .pe_centroid import PECentroidCodec, positional_code, rotate_code

__all__ = [
    'BaseCodec',
    'BinnedCentroidCodec',
    'CentroidGridCodec',
    'DCMECodec',
    'DirectCentroidCodec',
    'PECentroidCodec',
    'positional_code',
    'rotate_code',
]
