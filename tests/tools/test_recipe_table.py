"""tools/recipe_table.py, and the tables of docs/model_zoo.md that it wrote."""

import re
import runpy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from mmengine.config import Config
from torch import nn

from mmext_instseg.engine.benchmark.complexity import _saved_bytes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'model_zoo.md').read_text()


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    return runpy.run_path(str(ROOT / 'tools' / 'recipe_table.py'))


def config(**steps):
    dataset = dict(type='CocoDataset', ann_file='instances_train2017.json', data_root='data/coco/', pipeline=steps.pop('pipeline', []))
    wrapped = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[dataset]))
    return Config(dict(train_dataloader=dict(dataset=wrapped), auto_scale_lr=dict(base_batch_size=16), **steps))


def test_images_of_iterations_and_epochs(recipe):
    assert recipe['num_images'](config(train_cfg=dict(max_iters=1000))) == 16_000
    assert recipe['num_images'](config(train_cfg=dict(max_epochs=12))) == 12 * 118_287
    own = config(train_cfg=dict(max_epochs=12))
    own.train_dataloader.dataset.dataset.datasets[0].update(type='LabelMeDataset', ann_file='splits/train.txt', data_root='data/mine/')
    assert recipe['num_images'](own) is None


@pytest.mark.parametrize(
    ('pipeline', 'size'),
    [
        ([], (480, 640)),
        ([dict(type='Resize', scale=(1333, 800), keep_ratio=True)], (800, 1067)),
        ([dict(type='AlignedResize', scale=(352, 320), keep_ratio=False)], (320, 352)),
        ([dict(type='RandomChoiceResize', scales=[(640, 480), (1280, 960), (1300, 970)])], (960, 1280)),
        ([dict(type='RandomResize', scale=(420, 420), keep_ratio=True), dict(type='DenseRandomCrop', crop_size=(420, 420))], (420, 420)),
        ([dict(type='RandomCrop', crop_size=(0.5, 0.5))], (240, 320)),
    ],
)
def test_the_size_that_a_pipeline_leaves(recipe, pipeline, size):
    assert recipe['input_size'](config(pipeline=pipeline)) == size


def test_activations_are_what_the_backward_pass_needs():
    """A convolution needs its input, ReLU its output, each once; a frozen one behind it needs nothing of its own."""
    first, second = nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 2, 1, bias=False).requires_grad_(False)
    image = torch.zeros(1, 3, 10, 10)
    weights = [first.weight, second.weight]
    assert _saved_bytes(lambda: first(image), weights) == 4 * 3 * 100
    assert _saved_bytes(lambda: second(F.relu(first(image))), weights) == 4 * (3 + 8) * 100
    assert _saved_bytes(lambda: second(torch.zeros(1, 8, 10, 10)), weights) == 0


def test_a_row_by_hand(tool, recipe):
    """Hours are 3 x FLOPs x images / (TFLOP/s), in hours; the page has the row as it is computed now."""
    name = 'embedding_unet_200e_labelme-512'
    status, text = tool('recipe_table.py', ROOT / 'configs' / 'embedding_unet' / f'{name}.py', '--tflops', '40')
    assert status == 0
    row = text.splitlines()[2]
    assert row in PAGE and re.fullmatch(rf'\| {name} \|  \| 512 x 512 \| \d+ \|  \| 0\.\d \| \d\.\d\d \|', row)
    figures = next(one for one in PAGE.splitlines() if one.startswith('| pe_centroid_vitb_46k_coco-420 |')).split('|')
    images, gflops, hours = (float(figures[place].replace(',', '')) for place in (2, 4, 5))
    assert images == 46_200 * 512
    assert hours == pytest.approx(3 * gflops * 1e9 * images / 40e12 / 3600, rel=0.01)


def test_the_page_names_every_config_and_what_was_measured(recipe):
    models = [model for file in recipe['metafiles']() for model in yaml.safe_load(file.read_text())['Models']]
    missing = [model['Name'] for model in models if f'| {model["Name"]} |' not in PAGE]
    assert not missing, 'docs/model_zoo.md: python tools/recipe_table.py'
    assert all(f'| {" | ".join(row)} |' in PAGE for row in recipe['cpu_rows'](models))
