"""Shapes as a Cityscapes folder."""

from pathlib import Path

import pytest

from mmext_instseg.datasets.shapes import make_cityscapes


@pytest.fixture(scope='session')
def cityscapes(tmp_path_factory) -> Path:
    """Root with 4 images of val and 5 of train, 64 x 128. Not to be changed."""
    root = tmp_path_factory.mktemp('cityscapes')
    make_cityscapes(root, 'train', size=(64, 128), seed=0, num_images=5)
    return make_cityscapes(root, 'val', size=(64, 128), seed=1, num_images=4)
