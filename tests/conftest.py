"""What all tests share: the real data, and mmdet as the default scope."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmext_instseg  # noqa: F401  (registers everything)

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list) -> None:
    """The trainings, minutes each, come first: several processes then end at the same time."""
    items.sort(key=lambda item: 'test_overfit' not in item.nodeid)


@pytest.fixture(scope='session', autouse=True)
def metafiles_are_read_once() -> Iterator[None]:
    """For each `mmdet::` base mmengine reads a hundred metafiles and loads pkg_resources again: most of a config's time."""
    from mmengine.config import config, utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, 'load', functools.cache(utils.load))
        patch.setattr(config, 'is_installed', functools.cache(config.is_installed))
        yield


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


@pytest.fixture(scope='session')
def untrained_text_model(tmp_path_factory) -> tuple[Path, Path]:
    """The tiny config of InstanceCLIPSeg, on a few scenes of its own, and untrained weights."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from mmext_instseg.registry import MODELS

    folder = tmp_path_factory.mktemp('untrained_text_model')
    base = ROOT / 'configs' / 'instance_clipseg' / 'instance_clipseg_tiny_shapes.py'
    few = f"_base_ = '{base}'\ntest_dataloader = dict(dataset=dict(data_root='{folder}', num_images=1))\n"
    (folder / 'tiny.py').write_text(few)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(Config.fromfile(base).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=('object',)))), folder / 'untrained.pth')
    return folder / 'tiny.py', folder / 'untrained.pth'


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Resolves plain names as a config with default_scope='mmdet' does."""
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
