from .position_attention import PositionAttention

__all__ = ['PositionAttention']
