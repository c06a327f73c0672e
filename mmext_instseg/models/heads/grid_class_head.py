"""DCME's repurposed encoder: a class for every block of a grid (Eqs. 1 to 3)."""

import json
import shlex
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ..losses import normaliser
from .dense_head import DenseHead
from .targets import pixel_labels, stuff_map


def block_labels(label_map: Tensor, grid: tuple[int, int], priority: Tensor, ignore: int) -> Tensor:
    """Labels each block of a grid with the class in it that comes first in a priority list (Section III).

    Args:
        label_map: (H, W) int64 labels in [0, L), or `ignore`.
        grid: (h, w) blocks; with H = h * Gs, block (i, j) covers rows i * Gs up to but not (i + 1) * Gs (Eqs. 2, 3), likewise along x.
        priority: (L,) float, a distinct rank of each label; the smallest rank present wins. The last one is the background's.

    Returns:
        (h, w) int64 labels; `ignore` where a block is ignored or partly so and else background: a crowd isn't background.
    """
    height, width = label_map.shape
    order = priority.argsort()
    order = torch.cat([order[:-1], order.new_tensor([len(order)]), order[-1:]])  # L stands for `ignore`
    rank = order.argsort()[torch.where(label_map == ignore, len(order) - 1, label_map)]
    best = -F.adaptive_max_pool2d(-rank[None, None].float(), grid)[0, 0].long() if (height, width) != grid else rank
    return torch.where(order == len(order) - 1, ignore, order)[best]


def read_priority(path: str | Path, classes: Sequence[str] | None = None, annotations: str | Path = 'TRAINING_ANNOTATIONS') -> list[int]:
    """Reads a priority list that tools/class_priority.py wrote.

    Args:
        path: the JSON file: {'classes': names in the order of the labels, 'priority': the same names, the first wins, ...}.
        classes: those that the labels have; compared if given.
        annotations: what the file is made of, for the errors.

    Returns:
        labels, the first wins.

    Raises:
        ValueError: the file is missing, isn't such a file or has other classes; gives the command that makes it.
    """
    words = ['python', 'tools/class_priority.py', str(annotations), '--out', str(path)]
    cure = f'make it with\n  {shlex.join(words if classes is None else [*words, "--classes", *classes])}'
    try:
        data = json.loads(Path(path).read_text(encoding='utf-8'))
        names, first = list(data['classes']), list(data['priority'])
        labels = [names.index(name) for name in first]
    except OSError as error:
        raise ValueError(f'{path}: no class priority to be read there ({error.strerror}); {cure}') from None
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: not a class priority, 'classes' and their order 'priority'; {cure}") from None
    if sorted(labels) != list(range(len(names))):
        raise ValueError(f"{path}: 'priority' must name each of 'classes' once; {cure}")
    for label, (there, wanted) in enumerate(zip_longest(names, names if classes is None else classes)):
        if there != wanted:
            raise ValueError(f'{path}: class {label} is {there!r} there and {wanted!r} in the data set; {cure}')
    return labels


@MODELS.register_module()
class GridClassHead(DenseHead):
    """Classifies the blocks of a grid: thing classes first, then stuff classes, then background.

    At a grid size of 1 the blocks are pixels and the head is a plain semantic one. `num_classes` (read by mmdet's NumClassCheckHook)
    is things + stuff, the data set's number of classes; the output has one channel more.

    Args:
        num_things_classes: classes whose instances are wanted.
        num_stuff_classes: classes without instances; their labels come from `gt_sem_seg`.
        priority: class indices, the first wins a block that holds several (ascending number of training instances in the paper);
            classes not named follow in index order, then stuff, then background. Or the file that holds the thing classes' list, by
            tools/class_priority.py; for training `CheckClassPriorityHook` reads and checks it at the start; prediction needs none.
        boundary_weight: loss weight of blocks that touch another instance or the background within one block (ours).
        loss_cls: classification loss with mmdet's CrossEntropyLoss signature.
    """

    IGNORE = -100

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int = 0,
        priority: Sequence[int] | str | Path = (),
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
        self.priority_file = priority if isinstance(priority, str | Path) else None
        listed = () if isinstance(priority, str | Path) else priority
        self.register_buffer('priority', self._ranks(listed), persistent=False)
        self._has_priority = self.priority_file is None

    def load_priority(self, classes: Sequence[str] | None = None, annotations: str | Path = 'TRAINING_ANNOTATIONS') -> None:
        """Reads the file that `priority` names, if it does.

        Args:
            classes: the data set's, things first; those of the things are compared with the file's.
            annotations: the training annotations, for the errors.

        Raises:
            ValueError: as `read_priority`; or a file with another number of classes than the head has things.
        """
        if self.priority_file is None:
            return
        things = None if classes is None else list(classes)[: self.num_things_classes]
        listed = read_priority(self.priority_file, things, annotations)
        if len(listed) != self.num_things_classes:
            raise ValueError(f'{self.priority_file}: {len(listed)} classes, GridClassHead has num_things_classes={self.num_things_classes}')
        self.priority.copy_(self._ranks(listed))
        self._has_priority = True

    def _ranks(self, listed: Sequence[int]) -> Tensor:
        """(num_classes + 1,) float32 ranks from a list of labels; those not listed follow in index order."""
        unknown = [c for c in listed if not 0 <= c < self.num_classes]
        if unknown or len(set(listed)) != len(listed):
            raise ValueError(f'GridClassHead.priority: class indices in [0, {self.num_classes}), each once; got {list(listed)}')
        order = [*listed, *(c for c in range(self.num_classes + 1) if c not in set(listed))]
        return torch.tensor(order).argsort().float()

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
        if not self._has_priority:
            if self.training:
                raise ValueError(
                    f"{self.priority_file} isn't compared with the data set's classes; add CheckClassPriorityHook to custom_hooks"
                )
            self.load_priority()
        stuff = stuff_map(sample, self.num_things_classes, self.num_classes)
        labels = pixel_labels(sample.gt_instance_map, stuff, self.num_classes, background=self.num_classes, ignore=self.IGNORE)
        return block_labels(labels, grid, self.priority, self.IGNORE)


def touches_other(ids: Tensor) -> Tensor:
    """Which pixels have a pixel of another id among their eight neighbours: (B, H, W) integers -> (B, H, W) bool."""
    values = ids.float()[:, None]
    high, low = F.max_pool2d(values, 3, 1, 1), -F.max_pool2d(-values, 3, 1, 1)
    return ((high != values) | (low != values))[:, 0]
