from .mish import Mish
from .position_attention import PositionAttention

__all__ = ['Mish', 'PositionAttention']
