"""Data sets whose samples are phrases and the instances that they mean."""

from .lvis import LVISPhraseDataset
from .names import TEMPLATES
from .phrase_dataset import PhraseDataset, PhraseImage
from .phrasecut import PhraseCutDataset

__all__ = ['TEMPLATES', 'LVISPhraseDataset', 'PhraseCutDataset', 'PhraseDataset', 'PhraseImage']
