from . import backbones, data_preprocessors, detectors, heads, losses, necks

__all__ = ['backbones', 'data_preprocessors', 'detectors', 'heads', 'losses', 'necks']
