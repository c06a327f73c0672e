"""How many of the true instances the class grid names rightly."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from ..registry import METRICS
from .tables import grid_class_table, log_table


@METRICS.register_module()
class GridClassAccuracy(BaseMetric):
    """Share of the true instances whose grid class at their centre of mass is right (DCME, Section V-A, Table III).

    Reads the results of the instance oracle: `test_cfg.oracle='instance'`. Instances are the rows of `gt_instance_map`, so crowds
    are none, and those that vanished when the image was resized in the pipeline aren't there; a row whose pixels vanished later
    counts as wrong (ours).

    Keys: `grid_class/accuracy_<class>` (in [0, 1], NaN for a class without instances), `correct_<class>`, `instances_<class>`, and
    the totals `accuracy`, `correct`, `instances`.

    Raises:
        ValueError: the predictions are not those of the instance oracle, naming the image.
    """

    default_prefix = 'grid_class'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps (labels, correct) of each image, (K,) int64 and (K,) bool.

        Args:
            data_samples: `pred_instances`, and `gt_instance_map` at the size of the network's input.
        """
        for sample in data_samples:
            truth, pred = sample.get('gt_instance_map'), sample['pred_instances']
            if truth is None or not same_instances(sample):
                raise ValueError(
                    f"{sample.get('img_path')}: GridClassAccuracy needs the true instances as predictions; set test_cfg.oracle='instance' "
                    'and load annotations and GenerateInstanceMap in the test pipeline'
                )
            correct = (pred['labels'] == truth.labels) & (truth.areas > 0)
            self.results.append((truth.labels.cpu().numpy(), correct.cpu().numpy()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See the class."""
        classes = self.dataset_meta['classes']
        labels, correct = (np.concatenate(column) for column in zip(*results, strict=True))
        metrics: dict[str, float] = {}
        for ending, chosen in [*((f'_{name}', labels == label) for label, name in enumerate(classes)), ('', labels >= 0)]:
            instances, right = int(chosen.sum()), int(correct[chosen].sum())
            metrics[f'accuracy{ending}'] = right / instances if instances else float('nan')
            metrics[f'correct{ending}'], metrics[f'instances{ending}'] = right, instances
        log_table('Classification by the grid (DCME, Table III)', grid_class_table(metrics))
        return metrics


def same_instances(sample: dict) -> bool:
    """Whether the predicted boxes are those of the true instances at the original size, in their order."""
    truth = sample['gt_instance_map'].crop(tuple(sample['img_shape'][:2])).resize(tuple(sample['ori_shape'][:2]))
    return torch.equal(truth.boxes, sample['pred_instances']['bboxes'])
