"""The worked example of docs/extending.md: codec, head and config of a sixth method, as the page shows them."""

import re
import sys
from pathlib import Path

import pytest
import torch
from head_contract import HeadContract, make_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.runner import Runner

from mmext_instseg.registry import MODELS, TASK_UTILS
from mmext_instseg.structures import InstanceMap

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / 'examples' / 'center_offset'
sys.path.append(str(EXAMPLE.parent))

import center_offset  # noqa: E402  (registers codec and head)


def test_the_page_shows_the_files():
    page = (ROOT / 'docs' / 'extending.md').read_text()
    shown = re.findall(r'`(examples/center_offset/\w+\.py)`[^`]*```python\n(.*?)```', page, re.DOTALL)
    assert {Path(name).name for name, _ in shown} == {'codec.py', 'head.py', 'center_offset_tiny_shapes.py'}
    for name, code in shown:
        assert code == (ROOT / name).read_text(), f'docs/extending.md shows another {name}'


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=16, max_size=16), st.sets(st.integers(0, 15), max_size=16))
def test_boxes_apart_come_back(sizes, absent):
    """A 4 x 4 board of boxes of 1 to 4 pixels a side, in cells of 9 pixels; some cells stay empty."""
    ids, count = torch.zeros(36, 36, dtype=torch.int32), 0
    for cell, (height, width) in enumerate(sizes):
        if cell not in absent:
            count += 1
            y, x = cell // 4 * 9 + 2, cell % 4 * 9 + 2
            ids[y : y + height, x : x + width] = count
    instances = InstanceMap.from_ids(ids, torch.zeros(count, dtype=torch.int64))
    codec = TASK_UTILS.build(dict(type='CenterOffsetCodec'))
    maps, weight = codec.encode(instances)
    (found,) = codec.decode({name: value[None] for name, value in maps.items()}, (ids > 0)[None])
    assert torch.equal(found.masks().flatten(1).long().sum(1).sort().values, instances.areas.sort().values)
    order = found.ids[tuple(instances.centroids.round().long().flip(1).T)].long() - 1 if count else torch.zeros(0, dtype=torch.int64)
    assert torch.equal(found.masks()[order], instances.masks()) and (found.scores == 1).all() and (weight == 1).all()


def test_values_by_hand():
    """Object 1 covers x = 1..3 of a row of 6, so its centroid is x = 2; sigma 1."""
    codec = TASK_UTILS.build(dict(type='CenterOffsetCodec', sigma=1.0))
    maps, weight = codec.encode(InstanceMap.from_ids(torch.tensor([[0, 1, 1, 1, 0, -1]]), torch.tensor([0])))
    distance = torch.tensor([2.0, 1, 0, 1, 2, 3])
    torch.testing.assert_close(maps['heatmap'], torch.exp(-(distance**2) / 2)[None, None])
    assert maps['offset'].tolist() == [[[0, 1, 0, -1, 0, 0]], [[0] * 6]]
    assert weight.tolist() == [[1, 1, 1, 1, 1, 0]]


class TestCenterOffsetHead(HeadContract):
    config = dict(type='CenterOffsetHead', codec=dict(type='CenterOffsetCodec'))

    def test_losses_by_hand(self, head):
        head.codec.sigma = 1.0
        losses = head.loss_by_output(torch.zeros(1, 3, 1, 3), [make_sample(torch.tensor([[1, 1, 1]]))])
        heat = torch.exp(-(torch.tensor([1.0, 0, 1]) ** 2) / 2)
        torch.testing.assert_close(losses['loss_heatmap'], 50 * (heat**2).mean())
        torch.testing.assert_close(losses['loss_offset'], torch.tensor(0.1 * 2 / 3))


def test_the_config_trains_and_finds_what_its_ideal_maps_hold(tmp_path):
    config = Config.fromfile(EXAMPLE / 'center_offset_tiny_shapes.py')
    config.work_dir = str(tmp_path / 'work')
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        loader.dataset.update(data_root=str(tmp_path), seed=86, num_images=4)
    config.train_dataloader.dataset.pipeline = config.val_dataloader.dataset.pipeline
    config.val_evaluator = config.val_evaluator[:1]
    config.val_evaluator[0].ann_file = str(tmp_path / 'v1_standard_128x128_seed86_n4' / 'instances.json')
    config.model.backbone.base_channels = 4
    config.model.heads.instance.in_channels = config.model.heads.semantic.in_channels = 4
    config.model.test_cfg.true_maps = ['instance', 'semantic']
    config.train_cfg.update(max_iters=8, val_interval=8)
    config.param_scheduler = None
    config.default_hooks.logger.interval = 1
    runner = Runner.from_cfg(config)
    runner.train()
    scalars = runner.message_hub.log_scalars
    losses, _ = scalars['train/loss'].data
    assert len(losses) == 8 and losses[-1] < 0.8 * losses[0]
    assert scalars['val/coco/segm_mAP'].current() > 0.8, 'the maps of the truth, decoded'


def test_the_parts_have_plain_names():
    assert MODELS.get('CenterOffsetHead') is center_offset.CenterOffsetHead
    assert TASK_UTILS.get('CenterOffsetCodec') is center_offset.CenterOffsetCodec


@pytest.mark.parametrize('name', ['codec.py', 'head.py', 'center_offset_tiny_shapes.py'])
def test_it_costs_little(name):
    assert len((EXAMPLE / name).read_text().splitlines()) < 100
