"""A class for every pixel, trained near the borders of segments (pe_centroid_generalist_panoptic, Sections 3.3 and 3.3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops import edge_distance, edge_weight
from ...registry import MODELS
from ..losses import normaliser
from .dense_head import DenseHead
from .targets import instance_map, pixel_labels, segment_ids, stuff_map


@MODELS.register_module()
class DenseSemanticHead(DenseHead):
    """Thing classes first, then stuff classes; no background channel: pixels that nobody labelled aren't trained.

    `loss_semantic` is the classification loss weighted by Eq. 5, whose boundaries are those between all panoptic segments (ours: an
    image without things would train nothing else), as in Eq. 1 sum(w L) / sum(w) over the batch. `loss_semantic_tv` is the total
    variation, not weighted. Samples without panoptic labels cost nothing.

    Args:
        num_things_classes, num_stuff_classes: their sum, `num_classes`, is the data set's number of classes.
        edge: arguments `d` (pixels of the map) and `w_min` of Eq. 5; None: every pixel counts 1.
        loss_cls: loss with mmdet's CrossEntropyLoss signature.
        loss_tv: `TotalVariationLoss(kind='cross_entropy')`, or None.
    """

    IGNORE = -100

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int = 0,
        edge: dict | None = dict(d=20.0, w_min=0.0),
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss'),
        loss_tv: dict | None = dict(type='TotalVariationLoss', kind='cross_entropy'),
        **kwargs,
    ) -> None:
        num_classes = num_things_classes + num_stuff_classes
        super().__init__(out_channels=num_classes, **kwargs)
        self.num_classes = num_classes
        self.num_things_classes = num_things_classes
        self.edge = edge
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_tv = None if loss_tv is None else MODELS.build(loss_tv)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        labels, segments = self._targets(data_samples, (raw.shape[-2], raw.shape[-1]), raw.device)
        weight = (labels != self.IGNORE).float()
        if self.edge is not None:
            weight = weight * edge_weight(edge_distance(segments), **self.edge)
        loss = self.loss_cls(raw, labels, weight=weight, avg_factor=normaliser(weight).clamp(min=1e-6), ignore_index=self.IGNORE)
        losses = {'loss_semantic': loss}
        if self.loss_tv is not None:
            losses['loss_semantic_tv'] = self.loss_tv(raw, segments >= 0)
        return losses

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'class_prob': raw.float().softmax(dim=1)}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Pixels that nobody labelled have probability 0 in every class."""
        labels = self._targets(data_samples, shape, self.project.weight.device)[0]
        one_hot = F.one_hot(labels.clamp(min=0), self.num_classes) * (labels != self.IGNORE)[..., None]
        return {'class_prob': one_hot.permute(0, 3, 1, 2).float()}

    def _targets(self, data_samples: list, shape: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Labels and segments, (B, h, w) int64 each."""
        labels, segments = [], []
        for sample in data_samples:
            instances = instance_map(sample, shape, device)
            stuff = stuff_map(sample, self.num_things_classes, self.num_classes, shape)
            labels.append(pixel_labels(instances, stuff, self.num_classes, background=self.IGNORE, ignore=self.IGNORE))
            segments.append(segment_ids(instances, stuff, self.num_classes))
        return torch.stack(labels), torch.stack(segments)
