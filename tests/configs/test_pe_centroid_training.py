"""How PE-centroid's recipes train: tasks that a rank has no labels for, layer decay, half precision, accumulated gradients."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from test_configs import CONFIGS
from torch.nn.parallel import DistributedDataParallel
from toy_models import SHAPE, as_toy, samples
from two_ranks import two_ranks

from mmext_instseg.registry import MODELS

FOLDER = CONFIGS / 'pe_centroid'


def toy(name: str = 'pe_centroid_vitb-depth_stage2_46k_coco-nyu-336'):
    torch.manual_seed(0)
    model = MODELS.build(as_toy(Config.fromfile(FOLDER / f'{name}.py').model))
    model.init_weights()
    return model


def batch(panoptic: bool, depth: bool) -> dict:
    """Two images with labels of these tasks alone."""
    generator = torch.Generator().manual_seed(1)
    made = samples(2, num_things=80)
    for sample in made:
        if not panoptic:
            del sample.gt_instance_map
        if depth:
            sample.gt_depth_map = PixelData(data=torch.rand(1, *SHAPE, generator=generator) + 0.5)
            sample.set_metainfo(dict(depth_kind='relative'))
    images = [torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8, generator=generator) for _ in made]
    return dict(inputs=images, data_samples=made)


def train_a_rank(rank: int) -> tuple[dict, dict]:
    model = toy()
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):  # the second step hangs or raises if the first left a gradient out
        data = model.data_preprocessor(batch(panoptic=rank == 0, depth=rank == 1), training=True)
        losses = wrapped(**data, mode='loss')
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    return {name: float(value) for name, value in losses.items()}, model.state_dict()


@pytest.mark.timeout(180)
def test_one_rank_with_panoptic_labels_and_one_with_depth(tmp_path: Path):
    (panoptic, weights), (depth, others) = two_ranks(train_a_rank, tmp_path)
    assert panoptic.keys() == depth.keys()
    assert {name for name, value in panoptic.items() if value == 0} == {name for name in panoptic if name.startswith('loss_depth')}
    assert {name for name, value in depth.items() if value != 0} == {name for name in depth if name.startswith('loss_depth')}
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=0, atol=0)
    changed = toy().state_dict()
    assert all(
        not torch.equal(weights[f'heads.{head}.project.weight'], changed[f'heads.{head}.project.weight']) for head in ('instance', 'depth')
    )


def wrapper(model, config: Config, **changes):
    return build_optim_wrapper(model, Config({**config.optim_wrapper, **changes})._cfg_dict)


def test_layer_decay_of_the_recipes():
    config = Config.fromfile(FOLDER / 'pe_centroid_vitb_46k_coco-420.py')
    model = toy('pe_centroid_vitb_46k_coco-420')
    groups = wrapper(model, config).optimizer.param_groups
    rates = {id(param): group['lr'] for group in groups for param in group['params']}
    # Four blocks in the toy: depth 0 the embedding, 1 to 4 the blocks, 5 what follows
    for parameter, depth in (
        ('backbone.patch_embed.', 0),
        ('backbone.blocks.0.', 1),
        ('backbone.blocks.3.', 4),
        ('neck.', 5),
        ('heads.instance.', 5),
    ):
        found = {round(rates[id(value)], 12) for name, value in model.named_parameters() if name.startswith(parameter)}
        assert found == {round(5e-4 * 0.8 ** (5 - depth), 12)}, parameter


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision_and_accumulated_gradients(dtype):
    """The losses are float32 and finite, and two batches make one step (mmengine's own AmpOptimWrapper starts on a GPU only)."""
    config = Config.fromfile(FOLDER / 'pe_centroid_vitb-depth_stage2_46k_coco-nyu-336.py')
    model = toy()
    optim = wrapper(model, config, accumulative_counts=2)
    optim.initialize_count_status(model, 0, 4)
    data = model.data_preprocessor(batch(panoptic=True, depth=True), training=True)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    moved = []
    for _ in range(2):
        with optim.optim_context(model), torch.autocast('cpu', dtype=getattr(torch, dtype)):
            losses = model(**data, mode='loss')
        assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
        optim.update_params(model.parse_losses(losses)[0])
        moved.append(sum(not torch.equal(value, before[name]) for name, value in model.named_parameters()))
    assert moved[0] == 0 and moved[1] > len(before) // 2
