"""DCME's repurposed encoder: a class for every block of a grid (Eqs. 1 to 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ...structures import InstanceMap
from ..losses import normaliser
from .dense_head import DenseHead


def block_labels(label_map: Tensor, grid: tuple[int, int], priority: Tensor, ignore: int) -> Tensor:
    """Labels each block of a grid with the class in it that comes first in a priority list (Section III).

    Args:
        label_map: (H, W) int64 labels in [0, L), or `ignore`.
        grid: (h, w) blocks; with H = h * Gs, block (i, j) covers rows i * Gs up to but not (i + 1) * Gs (Eqs. 2, 3), likewise along x.
        priority: (L,) float, a distinct rank of each label; the smallest rank present wins.

    Returns:
        (h, w) int64 labels, `ignore` where the whole block is ignored.
    """
    height, width = label_map.shape
    order = priority.argsort()
    last = len(order)
    rank = torch.cat([order.argsort(), order.new_tensor([last])])[torch.where(label_map == ignore, last, label_map)]
    best = -F.adaptive_max_pool2d(-rank[None, None].float(), grid)[0, 0].long() if (height, width) != grid else rank
    return torch.cat([order, order.new_tensor([ignore])])[best]


@MODELS.register_module()
class GridClassHead(DenseHead):
    """Classifies the blocks of a grid: thing classes first, then stuff classes, then background.

    At a grid size of 1 the blocks are pixels and the head is a plain semantic one. `num_classes` (read by mmdet's NumClassCheckHook)
    is things + stuff, the data set's number of classes; the output has one channel more.

    Args:
        num_things_classes: classes whose instances are wanted.
        num_stuff_classes: classes without instances; their labels come from `gt_sem_seg`.
        priority: class indices, the first wins a block that holds several (ascending number of training instances in the paper);
            classes not named follow in index order, then stuff, then background.
        boundary_weight: loss weight of blocks that touch another instance or the background within one block (ours).
        loss_cls: classification loss with mmdet's CrossEntropyLoss signature.
    """

    IGNORE = -100

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int = 0,
        priority: Sequence[int] = (),
        boundary_weight: float = 1.0,
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss'),
        **kwargs,
    ) -> None:
        num_classes = num_things_classes + num_stuff_classes
        super().__init__(out_channels=num_classes + 1, **kwargs)
        self.num_classes = num_classes
        self.num_things_classes = num_things_classes
        self.boundary_weight = boundary_weight
        self.loss_cls = MODELS.build(loss_cls)
        unknown = [c for c in priority if not 0 <= c < num_classes]
        if unknown or len(set(priority)) != len(priority):
            raise ValueError(f'GridClassHead.priority: class indices in [0, {num_classes}), each once; got {list(priority)}')
        listed = [*priority, *(c for c in range(num_classes + 1) if c not in set(priority))]
        self.register_buffer('priority', torch.tensor(listed).argsort().float(), persistent=False)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        grid = (raw.shape[-2], raw.shape[-1])
        target = torch.stack([self._grid_labels(sample, grid) for sample in data_samples])
        weight = (target != self.IGNORE).float()
        if self.boundary_weight != 1:
            ids = torch.stack([sample.gt_instance_map.resize(grid).ids for sample in data_samples])
            weight = torch.where(touches_other(ids), self.boundary_weight, 1.0) * weight
        loss = self.loss_cls(raw, target, weight=weight, avg_factor=normaliser(weight), ignore_index=self.IGNORE)
        return {'loss_grid_class': loss}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'class_prob': raw.float().softmax(dim=1)}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Ignored blocks have probability 0 in every class."""
        labels = torch.stack([self._grid_labels(sample, shape) for sample in data_samples])
        one_hot = F.one_hot(labels.clamp(min=0), self.num_classes + 1) * (labels != self.IGNORE)[..., None]
        return {'class_prob': one_hot.permute(0, 3, 1, 2).float()}

    def _grid_labels(self, sample, grid: tuple[int, int]) -> Tensor:
        """(h, w) int64 labels of the blocks: thing labels from the instances; elsewhere stuff where the sample has it, else background.

        Where there is `gt_sem_seg`, pixels that are neither an instance nor stuff are ignored, not background.
        """
        instances: InstanceMap = sample.gt_instance_map
        labels = instances.label_map(background=self.num_classes, ignore=self.IGNORE)
        semantic = sample.get('gt_sem_seg')
        if semantic is not None:
            stuff = semantic.sem_seg.squeeze(0).long()
            is_stuff = (stuff >= self.num_things_classes) & (stuff < self.num_classes)
            labels = torch.where(instances.ids > 0, labels, torch.where(is_stuff, stuff, self.IGNORE))
        return block_labels(labels, grid, self.priority, self.IGNORE)


def touches_other(ids: Tensor) -> Tensor:
    """Which pixels have a pixel of another id among their eight neighbours: (B, H, W) integers -> (B, H, W) bool."""
    values = ids.float()[:, None]
    high, low = F.max_pool2d(values, 3, 1, 1), -F.max_pool2d(-values, 3, 1, 1)
    return ((high != values) | (low != values))[:, 0]
