"""What a codec can represent at all: the ceiling of every network that predicts it."""

from .report import ceiling_rows, plot_ceilings
from .scores import GROUPS, RepresentationCeiling, Setting, reconstruct
from .truth import TrueImage, TruthFile

__all__ = ['GROUPS', 'RepresentationCeiling', 'Setting', 'TrueImage', 'TruthFile', 'ceiling_rows', 'plot_ceilings', 'reconstruct']
