"""Two processes against one with the joined batch: the same losses and gradients, nothing unused, whoever has no instance.

Normalisers (pixels, cells, images with instances) are averaged over the ranks, so that the mean of two ranks' losses is the loss of all
images together. What has no such form is put aside here: batch statistics (BatchNorm takes its running ones) and dropout.
"""

from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from toy_models import SHAPE, as_toy, samples
from two_ranks import two_ranks

from mmext_instseg.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = (
    'aml_solov2_tiny_shapes',
    'dcme_tiny_shapes',
    'embedding_unet_tiny_shapes',
    'embedding_unet_tiny-center_600it_shapes-64',
    'embedding_unet_tiny-contrastive_600it_shapes-64',
    'embedding_unet_tiny-triplet_600it_shapes-64',
    'instance_clipseg_tiny_shapes',
    'pe_centroid_tiny_shapes',
    'pe_centroid_tiny-bins_600it_shapes-64',
    'pe_centroid_tiny-depth_shapes',
)
PUT_ASIDE = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.modules.dropout._DropoutNd, torch.nn.MultiheadAttention)
# Which of four images hold instances; each rank takes two.
SCENES = {'one rank without instances': (True, True, False, False), 'unequal ranks': (True, False, True, True)}


def build(name: str) -> torch.nn.Module:
    method = next(folder.name for folder in CONFIGS.iterdir() if name.startswith(f'{folder.name}_'))
    torch.manual_seed(0)
    model = MODELS.build(as_toy(Config.fromfile(CONFIGS / method / f'{name}.py').model))
    model.init_weights()
    model.train()
    for module in model.modules():
        if isinstance(module, PUT_ASIDE):
            module.eval()
    return model


def batch(model: torch.nn.Module, scene: str, images: slice) -> dict:
    generator = torch.Generator().manual_seed(1)
    inputs, made = [], []
    for index, filled in enumerate(SCENES[scene]):
        sample = samples(2, num_things=2)[0 if filled else 1]
        sample.gt_depth_map = PixelData(data=torch.rand(1, *SHAPE, generator=generator) + 0.5)
        sample.set_metainfo(dict(img_id=index, depth_kind='metric'))
        inputs.append(torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8, generator=generator))
        made.append(sample)
    return model.data_preprocessor(dict(inputs=inputs[images], data_samples=made[images]), training=True)


def losses_and_gradients(model: torch.nn.Module, data: dict, wrapped: torch.nn.Module | None = None) -> tuple[dict, dict]:
    losses = (wrapped or model)(**data, mode='loss')
    total, named = model.parse_losses(losses)
    model.zero_grad()
    total.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    return {name: value.detach().clone() for name, value in named.items() if name.startswith('loss_')}, gradients


def train(rank: int) -> dict:
    """Losses and gradients of every config and scene. A step hangs or raises if the one before left a gradient out."""
    results = {}
    with DefaultScope.overwrite_default_scope('mmdet'):
        for name in NAMES:
            model = build(name)
            wrapped = MMDistributedDataParallel(model, device_ids=[rank], broadcast_buffers=False)
            for scene in SCENES:
                data = batch(model, scene, slice(2 * rank, 2 * rank + 2))
                results[name, scene] = losses_and_gradients(model, data, wrapped)
    return results


@pytest.fixture(scope='module')
def ranks(tmp_path_factory) -> list[dict]:
    return two_ranks(train, tmp_path_factory.mktemp('two_ranks'))


@cache
def trainable(name: str) -> torch.nn.Module:
    return build(name)


@pytest.mark.parametrize('scene', SCENES)
@pytest.mark.parametrize('name', NAMES)
def test_two_ranks_are_one_process_with_all_images(ranks, name, scene):
    model = trainable(name)
    expected, gradients = losses_and_gradients(model, batch(model, scene, slice(None)))
    (first, mine), (second, others) = (results[name, scene] for results in ranks)
    assert first.keys() == second.keys() == expected.keys()
    for loss, value in expected.items():
        torch.testing.assert_close((first[loss] + second[loss]) / 2, value, msg=lambda text, loss=loss: f'{loss}: {text}')
    assert mine.keys() == {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    for key, value in gradients.items():
        assert torch.equal(mine[key], others[key]), key
        torch.testing.assert_close(mine[key], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()) + 1e-6)
