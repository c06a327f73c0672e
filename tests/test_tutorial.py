"""The configs that docs/tutorial.md shows, put where it says, on data of those formats."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmext_instseg.datasets.shapes import make_shapes
from mmext_instseg.registry import DATASETS, MODELS

ROOT = Path(__file__).resolve().parents[1]
SHOWN = re.findall(r'```python\n# (configs/(\w+)/my_\w+\.py)\n(.*?)```', (ROOT / 'docs' / 'tutorial.md').read_text(), re.DOTALL)


@pytest.mark.parametrize(('name', 'method', 'text'), SHOWN, ids=[Path(name).stem for name, *_ in SHOWN])
def test_a_config_of_the_page_builds(name, method, text, tmp_path):
    path = tmp_path / Path(name).name
    path.write_text(text.replace("_base_ = './", f"_base_ = '{ROOT}/configs/{method}/"))
    config = Config.fromfile(path)
    semantic = config.model.heads.semantic
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.data_root == 'data/mine/'
        assert len(loader.dataset.metainfo.classes) == semantic.num_things_classes + semantic.get('num_stuff_classes', 0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        MODELS.build(config.model)


def test_the_panoptic_config_reads_panoptic_files(tmp_path):
    (text,) = [text for name, _, text in SHOWN if 'panoptic' in name]
    folder = make_shapes(tmp_path, 'standard', (64, 64), 0, 2)
    things = ('circle', 'square', 'triangle', 'star', 'ring')
    stuff = ('stripes', 'dots', 'noise')
    text = text.replace("'data/mine/'", f"'{folder}/'").replace("('apple', 'pear'), ('table', 'wall')", f'{things}, {stuff}')
    path = tmp_path / 'my_panoptic.py'
    path.write_text(text.replace("_base_ = './", f"_base_ = '{ROOT}/configs/pe_centroid/"))
    config = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(config.val_dataloader.dataset)
    sample = dataset[0]['data_samples']
    assert len(dataset) == 2 and len(sample.gt_instance_map) > 0
    assert int(sample.gt_instance_map.labels.max()) < 5


def test_both_other_formats_are_shown():
    assert [method for _, method, _ in SHOWN] == ['embedding_unet', 'pe_centroid']
