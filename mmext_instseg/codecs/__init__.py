from .base import BaseCodec
from .dcme import DCMECodec

__all__ = ['BaseCodec', 'DCMECodec']
