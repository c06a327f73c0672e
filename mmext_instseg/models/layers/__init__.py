from .coord_conv import CoordConv2d
from .film import FiLM
from .mish import Mish
from .pixel_shuffle import ICNRPixelShuffle
from .position_attention import PositionAttention

__all__ = ['CoordConv2d', 'FiLM', 'ICNRPixelShuffle', 'Mish', 'PositionAttention']
