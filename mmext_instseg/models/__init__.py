from . import backbones, data_preprocessors, detectors, heads, losses, necks, text_encoders

__all__ = ['backbones', 'data_preprocessors', 'detectors', 'heads', 'losses', 'necks', 'text_encoders']
