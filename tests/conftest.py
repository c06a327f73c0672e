"""What all tests share: the real data, and mmdet as the default scope."""

import os
from pathlib import Path

import pytest

import mmext_instseg  # noqa: F401  (registers everything)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of real images and annotations, by MMEXT_REAL_DATA, default ../shared/data; absent: skip, in CI fail."""
    folder = Path(os.environ.get('MMEXT_REAL_DATA') or ROOT.parent / 'shared' / 'data')
    if folder.is_dir():
        return folder
    message = f'no real data at {folder}; set MMEXT_REAL_DATA'
    if os.environ.get('CI'):
        pytest.fail(message)
    return pytest.skip(message)


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Resolves plain names as a config with default_scope='mmdet' does."""
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
