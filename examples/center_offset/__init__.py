from .codec import CenterOffsetCodec
from .head import CenterOffsetHead

__all__ = ['CenterOffsetCodec', 'CenterOffsetHead']
