"""A code of the object's centroid for every pixel (pe_centroid_generalist_panoptic, Section 3.3)."""

import torch
from torch import Tensor

from ...ops import edge_distance, edge_weight
from ...registry import MODELS, TASK_UTILS
from ...structures import InstanceMap
from ..losses import normaliser
from .dense_head import DenseHead
from .targets import instance_map


@MODELS.register_module()
class PECentroidHead(DenseHead):
    """Predicts the maps of `PECentroidCodec`, or of its alternatives in Table 4.

    `loss_code` is the loss of each map (their sum where there are several), weighted by the codec's weight times Eq. 5 and averaged as in
    Eq. 1 over the batch; `loss_code_tv` the total variation and `loss_code_dice` generalized Dice (Appendix B), both over all pixels that
    aren't ignored; with a codec that ignores void, over those of instances alone. Samples without `gt_instance_map` cost nothing.

    Args:
        codec: the detector's codec, as a config; it makes the targets.
        edge: arguments `d` (pixels of the map) and `w_min` of Eq. 5; None: every pixel counts by the codec's weight alone.
        loss_code: called with (prediction, target), (B, C, h, w) each, `weight` (B, h, w) and `avg_factor`: `PositionalEmbeddingLoss`,
            with `parts=1` for `DirectCentroidCodec`; mmdet's CrossEntropyLoss for `BinnedCentroidCodec`.
        loss_tv: `TotalVariationLoss`, of kind 'cross_entropy' for bins; or None.
        loss_dice: `GeneralizedDiceLoss` for positional codes, or None.

    Raises:
        ValueError: `loss_dice` with a codec whose maps aren't positional codes.
    """

    def __init__(
        self,
        codec: dict,
        edge: dict | None = dict(d=20.0, w_min=0.0),
        loss_code: dict = dict(type='PositionalEmbeddingLoss'),
        loss_tv: dict | None = dict(type='TotalVariationLoss'),
        loss_dice: dict | None = dict(type='GeneralizedDiceLoss'),
        **kwargs,
    ) -> None:
        built = TASK_UTILS.build(codec)
        if loss_dice is not None and 'centroid_code' not in built.channels:
            raise ValueError(f'PECentroidHead: generalized Dice compares positional codes; with {type(built).__name__} set loss_dice=None')
        super().__init__(out_channels=sum(built.channels.values()), **kwargs)
        self.codec = built
        self.edge = edge
        self.loss_code = MODELS.build(loss_code)
        self.loss_tv = None if loss_tv is None else MODELS.build(loss_tv)
        self.loss_dice = None if loss_dice is None else MODELS.build(loss_dice)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        instances = self._instances(data_samples, (raw.shape[-2], raw.shape[-1]), raw.device)
        target, weight = self._encode(instances)
        ids = torch.stack([one.ids for one in instances])
        if self.edge is not None:
            weight = weight * edge_weight(edge_distance(ids), **self.edge)
        total = normaliser(weight).clamp(min=1e-6)
        maps = self.maps_by_output(raw)
        losses = {'loss_code': sum(self.loss_code(value, target[name], weight=weight, avg_factor=total) for name, value in maps.items())}
        maps = self.codec.absolute(maps, [one.extent or one.shape for one in instances])
        known = ids if self.codec.void_weight > 0 else torch.where(ids > 0, ids, -1)
        if self.loss_tv is not None:
            losses['loss_code_tv'] = sum(self.loss_tv(value, known >= 0) for value in maps.values())
        if self.loss_dice is not None:
            losses['loss_code_dice'] = self.loss_dice(maps['centroid_code'], known, [self.codec.table(one) for one in instances])
        return losses

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        channels = self.codec.channels
        return dict(zip(channels, raw.float().split(list(channels.values()), dim=1), strict=True))

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        return self._encode(self._instances(data_samples, shape, self.project.weight.device))[0]

    @staticmethod
    def _instances(data_samples: list, shape: tuple[int, int], device: torch.device) -> list[InstanceMap]:
        return [instance_map(sample, shape, device) for sample in data_samples]

    def _encode(self, instances: list[InstanceMap]) -> tuple[dict[str, Tensor], Tensor]:
        """Maps (B, C, h, w) by name and weight (B, h, w)."""
        maps, weights = zip(*(self.codec.encode(one) for one in instances), strict=True)
        return {name: torch.stack([one[name] for one in maps]) for name in maps[0]}, torch.stack(weights)
