"""Pixel scores of the semantic part: Tables 1 to 5 of the embedding U-Net's paper."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..registry import METRICS
from ..structures import InstanceMap


@METRICS.register_module()
class SemanticScores(BaseMetric):
    """IoU, precision, recall and F1 of each class, mIoU and pixel accuracy (embedding_unet_dbscan, Section 7), pooled over all pixels.

    Keys, in [0, 1]: `semantic/IoU_<class>`, `precision_<class>`, `recall_<class>`, `F1_<class>` for the data set's classes and
    'background', NaN where there is nothing to divide by; `semantic/mIoU`, the mean over the classes, background among them, that occur in
    truth or prediction (the paper counts background as a class); `semantic/accuracy`.

    Reads `pred_sem_seg` (`test_cfg.semantic=True`), the last class being the background; of a detector without semantics, such as Mask
    R-CNN, `pred_instances`: each pixel has the class of the best mask on it, of those with at least `score_threshold` (ours). The
    truth is `gt_instance_map`, brought to the image's original size; with `gt_sem_seg` its stuff, and pixels that are neither are
    ignored. mmseg's IoUMetric pools the same way but reads label maps, which instance data don't have.

    Args:
        score_threshold: lowest score of an instance that counts, in [0, 1].
        kwargs: of mmengine's `BaseMetric`.

    Raises:
        ValueError: a sample without truth or prediction, naming the image.
    """

    default_prefix = 'semantic'

    def __init__(self, score_threshold: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        self.score_threshold = score_threshold

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps the (C + 1, C + 1) int64 confusion of each image, truth along rows."""
        num = len(self.dataset_meta['classes']) + 1
        for sample in data_samples:
            predicted = predicted_labels(sample, num - 1, self.score_threshold)
            if predicted is None or 'gt_instance_map' not in sample:
                raise ValueError(
                    f'{sample.get("img_path")}: SemanticScores needs test_cfg.semantic=True or masks of instances, and annotations and '
                    'GenerateInstanceMap in the test pipeline'
                )
            truth = true_labels(sample, num - 1, (predicted.shape[0], predicted.shape[1])).to(predicted.device)
            known = truth >= 0
            self.results.append(torch.bincount(truth[known] * num + predicted[known], minlength=num * num).view(num, num).cpu())

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See the class."""
        confusion = torch.stack(results).sum(dim=0).double()
        hits, true, predicted = confusion.diag(), confusion.sum(dim=1), confusion.sum(dim=0)
        columns = {
            'IoU': hits / (true + predicted - hits),
            'precision': hits / predicted,
            'recall': hits / true,
            'F1': 2 * hits / (true + predicted),
        }
        names = [*self.dataset_meta['classes'], 'background']
        metrics = {f'{key}_{name}': float(value) for key, column in columns.items() for name, value in zip(names, column, strict=True)}
        return {**metrics, 'mIoU': float(columns['IoU'].nanmean()), 'accuracy': float(hits.sum() / confusion.sum())}


def predicted_labels(sample: dict, background: int, score_threshold: float) -> Tensor | None:
    """(H, W) int64 classes of an image's pixels, from its semantics or else its instances; None where it has neither."""
    if 'pred_sem_seg' in sample:
        return sample['pred_sem_seg']['sem_seg'][0]
    instances = sample.get('pred_instances', {})
    if 'masks' not in instances:
        return None
    best = instances['scores'].argsort(descending=True, stable=True)
    best = best[instances['scores'][best] >= score_threshold]
    masks = instances['masks'][best]
    labels = torch.cat([instances['labels'][best], instances['labels'].new_tensor([background])])
    rank = torch.arange(len(best), device=masks.device).view(-1, 1, 1)
    first = torch.where(masks, rank, len(best)).amin(dim=0) if len(best) else masks.new_zeros(masks.shape[1:], dtype=torch.int64)
    return labels[first]


def true_labels(sample: dict, background: int, shape: tuple[int, int]) -> Tensor:
    """(H, W) int64 true classes of an image at a size; `background` where nothing is, -1 where ignored."""
    instances: InstanceMap = sample['gt_instance_map']
    part = sample['img_shape'][:2]
    instances = instances.crop(part).resize(shape)
    labels = torch.cat([instances.labels.new_tensor([-1, background]), instances.labels])[instances.ids.long() + 1]
    if 'gt_sem_seg' not in sample:
        return labels
    stuff = sample['gt_sem_seg']['sem_seg'][:, : part[0], : part[1]].to(labels.device)
    stuff = torch.nn.functional.interpolate(stuff[None].float(), shape, mode='nearest-exact')[0, 0].long()
    return torch.where(labels == background, torch.where(stuff < background, stuff, -1), labels)
