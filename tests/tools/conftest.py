"""A config on three Shapes images and untrained weights of its model."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmext_instseg.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = '{root}/configs/dcme/dcme_tiny_shapes.py'
test_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}', num_images=3))
test_evaluator = [dict(type='CocoMetric', ann_file='{data}/v1_standard_128x128_seed1_n3/instances.json', metric='segm')]
"""


@pytest.fixture(scope='session')
def untrained(tmp_path_factory):
    """(config file, checkpoint, folder of the three images)."""
    root = tmp_path_factory.mktemp('untrained')
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(ROOT)).replace('{data}', str(root / 'data')))
    cfg = Config.fromfile(root / 'tiny.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': dict(dataset.metainfo)}}, root / 'untrained.pth')
    return root / 'tiny.py', root / 'untrained.pth', next((root / 'data').glob('*/images'))


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs the main function of tools/<name>; returns the exit status or message, and what it printed."""
    monkeypatch.syspath_prepend(ROOT / 'tools')
    monkeypatch.setenv('COLUMNS', '200')

    def run(name, *words):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
        try:
            status = runpy.run_path(str(ROOT / 'tools' / name))['main']()
        except SystemExit as exit:
            status = exit.code
        return status or 0, capsys.readouterr().out

    return run
