"""The instance map: the one ground-truth and prediction structure that all codecs encode and decode.

Shapes: H, W image or map size; K instances.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..ops import blank_masks, sample_ids, sample_nearest, segment_geometry
from .coco_masks import segmentation_runs
from .painting import IGNORE, paint_runs

NONE = 0
_CHUNK = 64  # masks painted at a time: bounds the temporary memory to 64 * H * W * 2 bytes


@dataclass
class InstanceMap:
    """Which instance each pixel belongs to, and a table with one row an instance.

    K is the number of rows and is fixed where the map is made (in the data worker), so that the device never synchronises to
    learn it. A row may have area 0 (`resize` keeps the rows of instances that vanish); `compact` drops such rows.

    Attributes:
        ids: (H, W) int32; -1 ignored (crowd, or overlap with `overlap='ignore'`), 0 none, 1..K.
        labels: (K,) int64 class indices.
        areas: (K,) int64 visible pixels.
        centroids: (K, 2) float32, (x, y) means of the visible pixels' indices; 0 where the area is 0.
        boxes: (K, 4) float32, (x1, y1, x2, y2) outer pixel edges of the visible pixels; 0 where the area is 0.
        scores: (K,) float32 in [0, 1] once decoded, None for ground truth.
        lost: (K,) int64, mask pixels given up to other instances or to overlap regions.
        extent: (height, width) in pixels of the map that show the image, from the top left; the rest is padding. None: all of it.
    """

    ids: Tensor
    labels: Tensor
    areas: Tensor
    centroids: Tensor
    boxes: Tensor
    scores: Tensor | None = None
    lost: Tensor | None = None
    extent: tuple[float, float] | None = None

    def __len__(self) -> int:
        return self.labels.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.ids.shape[0], self.ids.shape[1]

    @property
    def device(self) -> torch.device:
        return self.ids.device

    @property
    def num_vanished(self) -> Tensor:
        """() int64: how many rows have no pixel."""
        return (self.areas == 0).sum()

    @classmethod
    def from_ids(cls, ids: Tensor, labels: Tensor, scores: Tensor | None = None) -> 'InstanceMap':
        """Measures an id map.

        Args:
            ids: (H, W) integers, -1 ignored, 0 none, 1..K. Not checked: that would synchronise a device.
            labels: (K,) integers; K rows are made, with area 0 where an id has no pixel.
        """
        areas, centroids, boxes = segment_geometry(ids, labels.shape[0])
        return cls(ids.to(torch.int32), labels.long(), areas, centroids, boxes, scores)

    @classmethod
    def from_masks(cls, masks: Tensor, labels: Tensor, ignore: Tensor | None = None, overlap: str = 'top') -> 'InstanceMap':
        """Flattens possibly overlapping masks into one map.

        Args:
            masks: (K, H, W) bool.
            labels: (K,) integers.
            ignore: (H, W) bool, a region without annotation (crowd); instances lie above it.
            overlap: 'top': of several masks the one with the smaller full area is on top, then the lower id;
                'ignore': a pixel of several masks is ignored.

        Returns:
            A map with K rows; a mask that is hidden altogether keeps its row, with area 0.
        """
        if overlap not in ('top', 'ignore'):
            raise ValueError(f"overlap must be 'top' or 'ignore', not {overlap!r}")
        num, height, width = masks.shape
        full_areas = masks.flatten(1).sum(dim=1)
        order = torch.argsort(full_areas, stable=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(num, device=order.device))
        top = torch.full((height, width), num, dtype=torch.int32, device=masks.device)
        count = torch.zeros_like(top)
        for start in range(0, num, _CHUNK):
            chunk = masks[start : start + _CHUNK]
            ranks = torch.where(chunk, rank[start : start + _CHUNK, None, None].int(), num)
            top = torch.minimum(top, ranks.amin(dim=0))
            count += chunk.sum(dim=0, dtype=torch.int32)
        background = torch.zeros_like(top) if ignore is None else torch.where(ignore, IGNORE, NONE).to(top)
        owner = torch.cat([order + 1, order.new_zeros(1)]).int()  # rank num = nobody
        ids = torch.where(top < num, owner[top.long()], background)
        if overlap == 'ignore':
            ids = torch.where(count > 1, IGNORE, ids)
        made = cls.from_ids(ids, labels)
        made.lost = full_areas - made.areas
        return made

    @classmethod
    def from_coco(
        cls, annotations: Sequence[dict], shape: tuple[int, int], label_of: dict[int, int] | None = None, overlap: str = 'top'
    ) -> 'InstanceMap':
        """Reads the annotations of one image in COCO's format; crowds are ignored regions.

        Args:
            annotations: dicts with `segmentation` (polygons, RLE or compressed RLE), `category_id` and, optionally, `iscrowd` and `id`.
            shape: (H, W) of the image.
            label_of: label of each category id; None takes the category id itself.

        Raises:
            ValueError: a segmentation that can't be a mask, or a category that `label_of` lacks, naming the annotation's id.
        """
        things, labels, regions = [], [], []
        for position, annotation in enumerate(annotations):
            name = f'annotation {annotation.get("id", f"number {position}")}'
            runs = segmentation_runs(annotation['segmentation'], *shape, name=name)
            if annotation.get('iscrowd', 0):
                regions.append(runs)
                continue
            category = annotation['category_id']
            if label_of is not None and category not in label_of:
                raise ValueError(f'{name}: unknown category id {category}; the categories are {sorted(label_of)}')
            things.append(runs)
            labels.append(category if label_of is None else label_of[category])
        ids, full_areas = paint_runs(things, regions, *shape, overlap)
        made = cls.from_ids(torch.from_numpy(ids), torch.tensor(labels, dtype=torch.int64))
        made.lost = torch.from_numpy(full_areas) - made.areas
        return made

    def masks(self) -> Tensor:
        """(K, H, W) bool; (K + 1) * H * W bytes."""
        planes = blank_masks((len(self) + 1, *self.shape), self.device)
        return planes.scatter_(0, self.ids.clamp(min=0)[None].long(), True)[1:]  # not K comparisons

    def label_map(self, background: int, ignore: int) -> Tensor:
        """(H, W) int64: each pixel's label; `background` where there is no instance, `ignore` where ignored."""
        table = torch.cat([self.labels.new_tensor([ignore, background]), self.labels])
        return table[(self.ids + 1).long()]

    def resize(self, shape: tuple[int, int]) -> 'InstanceMap':
        """Samples the map at the centres of another grid, at any ratio; measures it anew.

        Rows stay, those of vanished instances with area 0 (`num_vanished` counts them), so nothing is read back from a device.
        """
        if shape == self.shape:
            return self
        made = InstanceMap.from_ids(sample_nearest(self.ids, shape), self.labels, self.scores)
        made.lost = self.lost
        if self.extent is not None:
            height, width = (inner * new / old for inner, new, old in zip(self.extent, shape, self.shape, strict=True))
            made.extent = (height, width)
        return made

    def enlarge(self, shape: tuple[int, int], part: tuple[float, float] = (1, 1), foreground: Tensor | None = None) -> 'InstanceMap':
        """Brings decoded instances from the size of the network's maps to that of the image, with smooth borders; measures them anew.

        Args:
            shape: (H, W) of the image.
            part: how much of the height and width shows the image, without padding, each in (0, 1].
            foreground: (H, W) bool; see `ops.sample_ids`.

        Rows stay, as in `resize`.
        """
        return InstanceMap.from_ids(sample_ids(self.ids, shape, part, foreground), self.labels, self.scores)

    def pad(self, shape: tuple[int, int]) -> 'InstanceMap':
        """Adds ignored rows below and columns to the right up to (H, W); the table stays as it is."""
        height, width = self.shape
        padded = torch.nn.functional.pad(self.ids, (0, shape[1] - width, 0, shape[0] - height), value=IGNORE)
        return replace(self, ids=padded, extent=self.extent or self.shape)

    def crop(self, shape: tuple[int, int]) -> 'InstanceMap':
        """Keeps the top left (H, W) corner and measures it anew; rows stay."""
        if shape == self.shape:
            return self
        made = InstanceMap.from_ids(self.ids[: shape[0], : shape[1]], self.labels, self.scores)
        if self.extent is not None:
            made.extent = (min(self.extent[0], shape[0]), min(self.extent[1], shape[1]))
        return made

    def select(self, keep: Tensor) -> 'InstanceMap':
        """Keeps the rows where `keep` (K,) is True, renumbered 1..K' in the same order; pixels of the others become 0.

        Reads K' back from the device.
        """
        new_ids = torch.where(keep, keep.cumsum(0), 0)
        table = torch.cat([new_ids.new_tensor([IGNORE, NONE]), new_ids]).int()
        kept = replace(self, ids=self.labels)._map(lambda column: column[keep])
        return replace(kept, ids=table[(self.ids + 1).long()])

    def compact(self) -> 'InstanceMap':
        """Drops the rows without pixels. Reads K' back from the device."""
        return self.select(self.areas > 0)

    def to(self, *args, **kwargs) -> 'InstanceMap':
        """Moves every tensor as `Tensor.to` does; dtypes stay (a half-precision cast of a batch must not touch ids or centroids)."""
        kwargs = {k: v for k, v in kwargs.items() if k != 'dtype'}
        args = tuple(a for a in args if not isinstance(a, torch.dtype))
        return self._map(lambda column: column.to(*args, **kwargs))

    def cpu(self) -> 'InstanceMap':
        return self._map(Tensor.cpu)

    def cuda(self) -> 'InstanceMap':
        return self._map(Tensor.cuda)

    def detach(self) -> 'InstanceMap':
        return self._map(Tensor.detach)

    def _map(self, function: Callable[[Tensor], Tensor]) -> 'InstanceMap':
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: function(column) for name, column in columns.items() if isinstance(column, Tensor)}
        return replace(self, **moved)
