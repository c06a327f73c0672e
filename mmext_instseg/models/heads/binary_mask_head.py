"""The mask of all that a phrase means (distance_map_decoders_instanceclipseg; CLIPSeg's output)."""

import torch
from torch import Tensor

from ...registry import MODELS
from ..losses import normaliser
from .dense_head import DenseHead
from .targets import instance_map


@MODELS.register_module()
class BinaryMaskHead(DenseHead):
    """One logit a pixel: whether it belongs to any instance. `DenseSemanticHead` and `GridClassHead` tell classes apart; here is none.

    `loss_mask` is averaged over the pixels that aren't ignored; samples without `gt_instance_map` cost nothing.

    Args:
        loss_mask: with the signature of mmdet's CrossEntropyLoss, for logits of one channel.
    """

    def __init__(self, loss_mask: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True), **kwargs) -> None:
        super().__init__(out_channels=1, **kwargs)
        self.loss_mask = MODELS.build(loss_mask)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        ids = self._ids(data_samples, (raw.shape[-2], raw.shape[-1]), raw.device)
        weight = (ids >= 0).float()
        return {'loss_mask': self.loss_mask(raw, (ids > 0).float(), weight=weight, avg_factor=normaliser(weight))}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'mask_prob': raw.float().sigmoid()}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        return {'mask_prob': (self._ids(data_samples, shape, self.project.weight.device) > 0).float()}

    @staticmethod
    def _ids(data_samples: list, shape: tuple[int, int], device: torch.device) -> Tensor:
        """(B, 1, h, w) int32."""
        return torch.stack([instance_map(sample, shape, device).ids for sample in data_samples])[:, None]
