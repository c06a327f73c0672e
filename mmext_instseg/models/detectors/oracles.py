"""The ground truth in the place of a part of the prediction: the oracles of the DCME paper, Section V.

Shapes: K instances, C classes, (h, w) size of the class grid, (H, W) size of the batch's input.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ...ops import largest_share
from ...structures import InstanceMap


def ground_truth(data_samples: list | None, shape: tuple[int, int]) -> list[InstanceMap]:
    """The samples' instance maps.

    Raises:
        ValueError: a sample has none, or one that isn't of the batch's size (H, W).
    """
    if not data_samples or any('gt_instance_map' not in sample for sample in data_samples):
        raise ValueError(
            'test_cfg.true_maps and test_cfg.oracle need ground truth: load annotations and GenerateInstanceMap in the test pipeline'
        )
    maps = [sample.gt_instance_map for sample in data_samples]
    for sample, one in zip(data_samples, maps, strict=True):
        if one.shape != shape:
            raise ValueError(
                f'{sample.get("img_path")}: gt_instance_map has {one.shape} pixels, the batch {shape}; use DenseDataPreprocessor'
            )
    return maps


def probability_at_centres(instances: InstanceMap, probability: Tensor, shape: tuple[int, int]) -> Tensor:
    """Class probabilities of the block that holds each centre of mass, floor(P / Gs) of the fractional centre (Eq. 2).

    Args:
        instances: at any size over the input's area; their centres are brought to its pixels, which P counts.
        probability: (C, h, w) over the same area.
        shape: (H, W) of the network's input.

    Returns:
        (K, C); a row without pixels has no centre and reads block (0, 0).
    """
    x, y = (
        (((instances.centroids[:, axis] + 0.5) * (pixels / size) - 0.5) * (blocks / pixels)).long().clamp(0, blocks - 1)
        for axis, blocks, size, pixels in zip((0, 1), probability.shape[:0:-1], instances.shape[::-1], shape[::-1], strict=True)
    )
    return probability[:, y, x].T


def classify_truth(truth: InstanceMap, probability: Tensor) -> InstanceMap:
    """The instance oracle (Section V-A): the true instances, classified by the grid at their centres of mass.

    Args:
        truth: at (H, W).
        probability: (C, h, w) of the thing classes.

    Returns:
        all rows in their order, scored by the probability of their class; a row without pixels has label 0 and score 0 (ours).
    """
    scores, labels = probability_at_centres(truth, probability, truth.shape).max(dim=1)
    seen = truth.areas > 0
    return replace(truth, labels=torch.where(seen, labels, 0), scores=torch.where(seen, scores, 0.0))


def take_true_labels(found: InstanceMap, truth: InstanceMap) -> InstanceMap:
    """The class oracle (Section V-B): each instance takes the label of the true one that it shares most pixels with.

    Where it meets none it keeps its own label, and always its score (ours); of equal shares the lower row of `truth` wins (ours).
    """
    row = largest_share(found.ids, truth.ids, len(found), len(truth))
    table = torch.cat([truth.labels.new_zeros(1), truth.labels])
    return replace(found, labels=torch.where(row > 0, table[row], found.labels))
