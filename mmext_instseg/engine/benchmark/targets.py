"""SOLO's targets for a batch: ours at once, mmdet's instance by instance."""

from collections.abc import Iterator, Sequence

import torch
from mmdet.models.dense_heads import SOLOV2Head
from mmengine.structures import InstanceData
from torch import Tensor

from ...models.heads.solo_targets import assign_cells, gather_instances
from .made_up import make_batch
from .measurement import Case

_CLASSES = 80


def target_cases(size: tuple[int, int], instances: Sequence[int], batch: int, device: torch.device) -> Iterator[Case]:
    """A case for each number of instances an image, with SOLOv2's grids; a fifth of them shares its centre with another one.

    Compared are the labels of all cells and the areas of all masks, before one of several candidates is chosen.

    Args:
        size: (H, W) of the images, multiples of 32.
        batch: how many images.
    """
    head = SOLOV2Head(
        num_classes=_CLASSES,
        in_channels=8,
        feat_channels=32,
        mask_feature_head=dict(feat_channels=8, start_level=0, end_level=3, out_channels=8, mask_stride=4),
        strides=(8, 8, 16, 32, 32),
        scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
        num_grids=[40, 36, 24, 16, 12],
    )
    shape = (size[0] // 4, size[1] // 4)
    for count in instances:
        truth = [sample.gt_instances.to(device) for sample in make_batch(size, count, batch, _CLASSES)['data_samples']]

        def ours(truth: list[InstanceData] = truth) -> tuple[Tensor, Tensor]:
            found = gather_instances(truth, None, shape, head.mask_stride)
            candidates = assign_cells(found, len(truth), size, head.scale_ranges, head.num_grids, head.pos_scale)
            num_cells = len(truth) * sum(num**2 for num in head.num_grids)
            labels = torch.cat([found.labels, found.labels.new_tensor([_CLASSES])])[candidates.owner(num_cells)]
            return labels, found.masks[candidates.instance]

        def baseline(truth: list[InstanceData] = truth) -> tuple[Tensor, Tensor]:
            images = zip(*(head._get_targets_single(one, featmap_sizes=shape)[:2] for one in truth), strict=True)
            masks, labels = (list(zip(*levels, strict=True)) for levels in images)
            return torch.cat([one.flatten() for level in labels for one in level]), torch.cat([one for level in masks for one in level])

        columns = dict(size=f'{size[0]}x{size[1]}', images=batch, instances=count)
        yield Case(columns, batch * size[0] * size[1], ours, baseline, _difference)


def _difference(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> str | None:
    if not torch.equal(ours[0], theirs[0]):
        return 'the cells have other labels than mmdet gives them'
    ours_areas, their_areas = (one.flatten(1).sum(dim=1).sort().values for one in (ours[1], theirs[1]))  # rows are in another order
    if not torch.equal(ours_areas, their_areas.to(ours_areas)):
        return 'the masks are others than those of mmdet'
    return None
