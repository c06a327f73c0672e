"""How often instances share a cell of SOLO's grids, counted in annotation files: whether minimum-loss matching matters to a data set.

Shapes: K instances of an image, L levels, M candidates (pairs of a cell and an instance).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from mmcv import rescale_size
from torch import Tensor

from ..datasets.validation import load_coco
from ..models.heads.aml_matching import contested
from ..models.heads.solo_targets import Candidates, Instances, assign_cells
from ..structures.coco_masks import run_pixels, segmentation_runs


@dataclass(frozen=True)
class GridSettings:
    """SOLO's grids, and the size of the images that they lie on.

    Attributes:
        num_grids, scale_ranges, pos_scale: the head's; by default SOLOv2's.
        scale: (longest side, shortest side) in pixels that images are brought to; None: as they are.
        keep_ratio: as in a pipeline; False: `scale` is (width, height).
        divisor: sides are padded to a multiple of it. (Grids span the padded image. In a batch that is the largest one's size, which
            an annotation file doesn't tell.)
    """

    num_grids: Sequence[int] = (40, 36, 24, 16, 12)
    scale_ranges: Sequence[tuple[float, float]] = ((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048))
    pos_scale: float = 0.2
    scale: tuple[int, int] | None = (1333, 800)
    keep_ratio: bool = True
    divisor: int = 32

    def __post_init__(self) -> None:
        if len(self.num_grids) != len(self.scale_ranges):
            raise ValueError(f'{len(self.num_grids)} num_grids, but {len(self.scale_ranges)} scale_ranges: give one of each a level')

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """An image's (width, height) before padding."""
        if self.scale is None:
            return width, height
        long, short = self.scale
        return rescale_size((width, height), (long, short)) if self.keep_ratio else (long, short)


@dataclass
class Collisions:
    """Counts, of each level and at index L of all levels together. Add images to it.

    Attributes:
        instances: all that training sees: no crowds.
        assigned: (L + 1,) int64, instances that claim a cell of the level (of any).
        sharing: (L + 1,), those of them that another instance claims a cell of too.
        lost: (L + 1,), those of them whose cells mmdet gives to others, all of them: the last one in the file's order has a cell.
        cells, contested: (L + 1,), cells that anyone claims, and that several do.
        images, affected: images with instances, and those with a contested cell.
    """

    settings: GridSettings
    instances: int = 0
    images: int = 0
    affected: int = 0
    assigned: Tensor = field(init=False)
    sharing: Tensor = field(init=False)
    lost: Tensor = field(init=False)
    cells: Tensor = field(init=False)
    contested: Tensor = field(init=False)

    def __post_init__(self) -> None:
        for name in ('assigned', 'sharing', 'lost', 'cells', 'contested'):
            setattr(self, name, torch.zeros(len(self.settings.num_grids) + 1, dtype=torch.int64))

    def add(self, instances: Instances, shape: tuple[int, int]) -> None:
        """Counts an image.

        Args:
            instances: boxes, areas and centroids of K instances.
            shape: (H, W) of the padded image.
        """
        settings, num = self.settings, len(instances.areas)
        candidates = assign_cells(instances, 1, shape, settings.scale_ranges, settings.num_grids, settings.pos_scale)
        assigned, sharing, keeping, cells, crowded = _claims(candidates, num, settings.num_grids)
        self.instances += num
        self.images += int(num > 0)
        self.affected += int(crowded.any())
        self.assigned += _with_total(assigned)
        self.sharing += _with_total(sharing)
        self.cells += torch.cat([cells, cells.sum()[None]])
        self.contested += torch.cat([crowded, crowded.sum()[None]])
        nowhere = assigned.any(dim=1) & ~keeping.any(dim=1)
        self.lost += torch.cat([(assigned & ~keeping).sum(dim=0), nowhere.sum()[None]])


def _claims(candidates: Candidates, num: int, num_grids: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Who claims, shares and (by mmdet's rule) keeps a cell of each level, (K, L) bool each; cells claimed and contested, (L,) int64."""
    sizes = torch.tensor([grid**2 for grid in num_grids])
    level_of = torch.arange(len(sizes)).repeat_interleave(sizes)
    level, instance = level_of[candidates.cell], candidates.instance

    def mark(rows: Tensor) -> Tensor:
        marked = torch.zeros(num, len(sizes), dtype=torch.bool)
        marked[instance[rows], level[rows]] = True
        return marked

    owner = candidates.owner(len(level_of))
    rivals = contested(candidates.cell, len(level_of))
    claimed, crowded = candidates.cell.unique(), candidates.cell[rivals].unique()
    return (
        mark(torch.arange(len(level))),
        mark(rivals),
        mark((owner[candidates.cell] == instance).nonzero().squeeze(1)),
        torch.bincount(level_of[claimed], minlength=len(sizes)),
        torch.bincount(level_of[crowded], minlength=len(sizes)),
    )


def _with_total(marked: Tensor) -> Tensor:
    """(K, L) bool -> (L + 1,) int64: how many at each level, and at any."""
    return torch.cat([marked.sum(dim=0), marked.any(dim=1).sum()[None]])


class GridFile:
    """The images of a COCO or LVIS file as the grids see them, one by one.

    Iterating gives `Instances` (boxes, areas and centroids; no masks) and the padded (H, W). Taken as mmdet's readers and `AlignedResize`
    take them: without crowds and what is under a pixel wide or high, masks sampled at the centres of the new pixels.

    Raises:
        ValueError: as `load_coco` with policy='skip'; a panoptic file.
    """

    def __init__(self, path: str | Path, settings: GridSettings) -> None:
        data = load_coco(path, policy='skip')
        if any('segments_info' in annotation for annotation in data['annotations']):
            raise ValueError(f'{path} is a panoptic file; give the one with instances, which SOLO is trained on')
        of_image: dict[int, list[dict]] = {}
        for annotation in data['annotations']:
            of_image.setdefault(annotation['image_id'], []).append(annotation)
        self.images = [(image, of_image[image['id']]) for image in data['images'] if image['id'] in of_image]
        self.settings = settings

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[tuple[Instances, tuple[int, int]]]:
        for image, annotations in self.images:
            old = image['height'], image['width']
            width, height = self.settings.resized(*old[::-1])
            divisor = self.settings.divisor
            padded = (-(-height // divisor) * divisor, -(-width // divisor) * divisor)
            kept = [one for one in annotations if _is_trained_on(one, old)]
            yield _resized(kept, old, (height, width)), padded


def _is_trained_on(annotation: dict, shape: tuple[int, int]) -> bool:
    """Whether mmdet's `CocoDataset` gives it to training as an instance; a crowd it doesn't."""
    x, y, width, height = annotation['bbox']
    inside = min(x + width, shape[1]) > max(x, 0) and min(y + height, shape[0]) > max(y, 0)
    return inside and min(width, height) >= 1 and annotation['area'] > 0 and not (annotation['iscrowd'] or annotation.get('ignore'))


def _resized(annotations: list[dict], old: tuple[int, int], new: tuple[int, int]) -> Instances:
    """Annotations of an image (H, W) at another size."""
    (row_weights, row_sums), (col_weights, col_sums) = (_sampling(*sides) for sides in zip(old, new, strict=True))
    boxes, sums = np.zeros((len(annotations), 4)), np.zeros((len(annotations), 3))
    for index, one in enumerate(annotations):
        runs = segmentation_runs(one['segmentation'], *old, name=f'annotation {one["id"]}')
        cols, rows = np.divmod(run_pixels(runs), old[0])
        height_of, width_of = row_weights[rows], col_weights[cols]
        sums[index] = height_of @ width_of, height_of @ col_sums[cols], row_sums[rows] @ width_of
        x, y, width, height = one['bbox']
        boxes[index] = x, y, x + width, y + height
    factors = np.array([new[1] / old[1], new[0] / old[0]] * 2)
    scaled = torch.from_numpy(boxes.astype(np.float32) * factors.astype(np.float32)).clamp(min=0).minimum(torch.tensor([*new[::-1]] * 2))
    areas, moments = torch.from_numpy(sums[:, 0]).long(), torch.from_numpy(sums[:, 1:]).float()
    return Instances(
        boxes=scaled,
        labels=torch.tensor([one['category_id'] for one in annotations], dtype=torch.int64),
        image=torch.zeros(len(annotations), dtype=torch.int64),
        areas=areas,
        centroids=moments / areas.float().clamp(min=1e-6)[:, None],
        masks=torch.zeros(len(annotations), 0, 0, dtype=torch.bool),
        crowd=None,
    )


def _sampling(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of the new pixels along an axis are taken from each of the old ones, and the sum of their indices; (old,) float64 each.

    By them, area and centroid of a resized mask are exact without resizing it.
    """
    index = np.arange(new)
    source = (2 * index + 1) * old // (2 * new)
    return np.bincount(source, minlength=old).astype(float), np.bincount(source, weights=index, minlength=old)


def collision_rows(counts: Collisions) -> list[list[str]]:
    """A header, a row for each level and one for all levels together; percentages are of the instances that claim a cell there."""
    settings = counts.settings
    names = [f'{low:g} to {high:g}' for low, high in settings.scale_ranges] + ['']
    grids = [f'{grid} x {grid}' for grid in settings.num_grids] + ['all']
    rows = [['grid', 'size in pixels', 'instances', 'share a cell', '(%)', 'lose all', '(%)', 'cells', 'contested', '(%)']]
    values = (counts.assigned, counts.sharing, counts.lost, counts.cells, counts.contested)
    for grid, name, assigned, sharing, lost, cells, several in zip(grids, names, *(one.tolist() for one in values), strict=True):
        shares = [_percent(part, whole) for part, whole in ((sharing, assigned), (lost, assigned), (several, cells))]
        figures = [f'{assigned:,}', f'{sharing:,}', shares[0], f'{lost:,}', shares[1], f'{cells:,}', f'{several:,}', shares[2]]
        rows.append([grid, name, *figures])
    return rows


def _percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.2f}' if whole else '-'


def plot_collisions(path: Path, counts: Collisions) -> None:
    """Writes a PNG: the shares of `collision_rows` as bars."""
    settings = counts.settings
    grids = zip(settings.num_grids, settings.scale_ranges, strict=True)
    labels = [*(f'{grid} x {grid}\n{low:g} to {high:g}' for grid, (low, high) in grids), 'all']
    places = np.arange(len(labels))
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(1.1 * len(labels) + 1, 3), layout='constrained')
        axes = figure.subplots()
        for shift, name, values, colour in (
            (-0.2, 'share a cell', counts.sharing, '#0072B2'),
            (0.2, 'lose all cells', counts.lost, '#D55E00'),
        ):
            shares = 100 * values.double() / counts.assigned.clamp(min=1)
            axes.bar_label(axes.bar(places + shift, shares.numpy(), 0.4, label=name, color=colour), fmt='%.1f', padding=1)
        axes.set(xticks=places, xticklabels=labels, xlabel='grid, and size of its instances in pixels', ylabel='% of them')
        axes.legend(frameon=False)
        figure.savefig(path, dpi=150)
