"""Data sets and transforms."""

from .shapes import ShapesDataset

__all__ = ['ShapesDataset']
