from .base import BaseCodec, resize_map
from .dcme import DCMECodec

__all__ = ['BaseCodec', 'DCMECodec', 'resize_map']
