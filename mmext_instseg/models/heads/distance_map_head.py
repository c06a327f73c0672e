"""Distances of each pixel to the four sides of its object's box (distance_map_decoders_instanceclipseg, Figures 5 and 6)."""

import torch
from torch import Tensor

from ...registry import MODELS, TASK_UTILS
from ...structures import InstanceMap
from ..losses import normaliser
from .dense_head import DenseHead
from .targets import instance_map


@MODELS.register_module()
class DistanceMapHead(DenseHead):
    """Predicts the map `distance` of `BoxDistanceCodec`: left, top, right, bottom as a share of the image's side.

    A sigmoid makes them positive (ours): a distance within the image is below its side. `loss_distance` is the paper's weighted L1 loss,
    the weight ours: 1 / area on each object, 0 elsewhere, so that it is the mean over objects of the mean over their pixels and the four
    distances. Samples without `gt_instance_map` cost nothing.

    Args:
        codec: the detector's `BoxDistanceCodec`, as a config; it makes the targets.
        loss_distance: with the signature of mmdet's L1Loss.
    """

    def __init__(self, codec: dict, loss_distance: dict = dict(type='mmdet.L1Loss'), **kwargs) -> None:
        super().__init__(out_channels=4, **kwargs)
        self.codec = TASK_UTILS.build(codec)
        self.loss_distance = MODELS.build(loss_distance)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        instances = [instance_map(sample, (raw.shape[-2], raw.shape[-1]), raw.device) for sample in data_samples]
        target = torch.stack([self.codec.distance(one) for one in instances])
        weight = torch.stack([object_weight(one) for one in instances])[:, None]
        loss = self.loss_distance(raw.sigmoid(), target, weight=weight, avg_factor=4 * normaliser(weight).clamp(min=1e-6))
        return {'loss_distance': loss}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'distance': raw.float().sigmoid()}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        instances = (instance_map(sample, shape, self.project.weight.device) for sample in data_samples)
        return {'distance': torch.stack([self.codec.distance(one) for one in instances])}


def object_weight(instances: InstanceMap) -> Tensor:
    """(H, W) float32: 1 / area on each object, 0 elsewhere."""
    inverse = 1 / instances.areas.clamp(min=1)
    return torch.cat([inverse.new_zeros(2), inverse])[instances.ids.long() + 1]
