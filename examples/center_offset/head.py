"""The head that predicts what `CenterOffsetCodec` reads."""

import torch
from torch import Tensor

from mmext_instseg.models.heads.dense_head import DenseHead
from mmext_instseg.models.losses.reduction import normaliser
from mmext_instseg.registry import MODELS, TASK_UTILS


@MODELS.register_module()
class CenterOffsetHead(DenseHead):
    """Mean squared error of the heatmap over all pixels that count, L1 of the offsets over those of instances.

    Args:
        codec: the detector's `CenterOffsetCodec`, as a config; it makes the targets.
        heat_weight, offset_weight: of the two losses.
    """

    def __init__(self, codec: dict, heat_weight: float = 50.0, offset_weight: float = 0.1, **kwargs) -> None:
        built = TASK_UTILS.build(codec)
        super().__init__(out_channels=sum(built.channels.values()), **kwargs)
        self.codec, self.heat_weight, self.offset_weight = built, heat_weight, offset_weight

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        target, weight, inside = self._encode(data_samples, tuple(raw.shape[-2:]))
        heat, offset = raw.split([1, 2], dim=1)
        square = ((heat - target['heatmap']) ** 2 * weight).sum() / normaliser(weight).clamp(min=1)
        absolute = ((offset - target['offset']).abs() * inside).sum() / normaliser(inside).clamp(min=1)
        return {'loss_heatmap': self.heat_weight * square, 'loss_offset': self.offset_weight * absolute}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        heat, offset = raw.split([1, 2], dim=1)
        return {'heatmap': heat.clamp(0, 1), 'offset': offset}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        return self._encode(data_samples, shape)[0]

    def _encode(self, data_samples: list, shape: tuple[int, int]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Target maps (B, C, h, w), weight (B, 1, h, w) of each pixel, and that of the pixels in instances."""
        instances = [sample.gt_instance_map.resize(shape) for sample in data_samples]
        maps, weights = zip(*(self.codec.encode(one) for one in instances), strict=True)
        weight, ids = torch.stack(weights)[:, None], torch.stack([one.ids for one in instances])[:, None]
        return {name: torch.stack([one[name] for one in maps]) for name in maps[0]}, weight, weight * (ids > 0)
