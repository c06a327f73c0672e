"""A trunk under DCME's two heads, trained for a step and used for prediction."""

import torch
from head_contract import make_sample, scene

from mmext_instseg.registry import MODELS


def run_trunk(height: int, width: int, dense_channels: int, grid_index: int, grid_channels: int, **trunk) -> tuple[torch.Tensor, ...]:
    """Builds by config alone, trains a step and predicts on two images of (height, width): the raw outputs of both heads.

    Asserts that each parameter has a finite gradient, that results have the images' size and that nothing has `num_classes` but
    the head.
    """
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='BottomUpSegmentor',
            codec=dict(type='DCMECodec', unit=8.0),
            heads=dict(
                instance=dict(type='DCMEHead', in_channels=dense_channels, num_convs=0),
                semantic=dict(type='GridClassHead', in_channels=grid_channels, in_index=grid_index, num_convs=0, num_things_classes=3),
            ),
            test_cfg=dict(label_by='centre'),
            **trunk,
        )
    )
    images, samples = torch.randn(2, 3, height, width), [make_sample(scene(kind, height, width)) for kind in ('one', 'overlapping')]
    losses = model.loss(images, samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert [module for module in model.modules() if hasattr(module, 'num_classes')] == [model.heads['semantic']]
    model.eval()
    with torch.no_grad():
        for sample in model.predict(images, samples):
            assert sample.pred_instances.masks.shape[1:] == (height, width)
        return model(images, samples, mode='tensor')
