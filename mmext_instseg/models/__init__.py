from . import data_preprocessors, detectors, heads, losses

__all__ = ['data_preprocessors', 'detectors', 'heads', 'losses']
