"""A heatmap of the centres of objects (distance_map_decoders_instanceclipseg, Figure 5)."""

import torch
from torch import Tensor

from ...registry import MODELS, TASK_UTILS
from ..losses import normaliser
from .dense_head import DenseHead
from .targets import instance_map


@MODELS.register_module()
class CenterHeatmapHead(DenseHead):
    """Predicts the map `heatmap` of `BoxDistanceCodec`, in [0, 1].

    The output is linear, as Panoptic-DeepLab's, and trained as it is; predictions are clipped. `loss_heatmap` is averaged over the pixels
    that aren't ignored; samples without `gt_instance_map` cost nothing.

    Args:
        codec: the detector's `BoxDistanceCodec`, as a config; it makes the targets, whatever its grouping.
        loss_heatmap: with the signature of mmdet's MSELoss. The weight 200 is Panoptic-DeepLab's; the paper is silent.
    """

    def __init__(self, codec: dict, loss_heatmap: dict = dict(type='mmdet.MSELoss', loss_weight=200.0), **kwargs) -> None:
        super().__init__(out_channels=1, **kwargs)
        self.codec = TASK_UTILS.build(codec)
        self.loss_heatmap = MODELS.build(loss_heatmap)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        instances = [instance_map(sample, (raw.shape[-2], raw.shape[-1]), raw.device) for sample in data_samples]
        target = torch.stack([self.codec.heatmap(one) for one in instances])
        weight = torch.stack([one.ids >= 0 for one in instances])[:, None].float()
        return {'loss_heatmap': self.loss_heatmap(raw, target, weight=weight, avg_factor=normaliser(weight))}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'heatmap': raw.float().clamp(0, 1)}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        instances = (instance_map(sample, shape, self.project.weight.device) for sample in data_samples)
        return {'heatmap': torch.stack([self.codec.heatmap(one) for one in instances])}
