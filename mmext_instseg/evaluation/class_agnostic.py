"""Mask AP that doesn't ask for the class."""

from collections.abc import Sequence

from mmdet.evaluation.metrics import CocoMetric

from ..registry import METRICS


@METRICS.register_module()
class ClassAgnosticCocoMetric(CocoMetric):
    """mmdet's `CocoMetric` with all categories merged into one, on both sides.

    How well objects are found and outlined, whatever they are called. Arguments as `CocoMetric`; `ann_file` is required, the file
    itself stays as it is. Keys begin with `agnostic/`.

    Raises:
        ValueError: no `ann_file`.
    """

    default_prefix = 'agnostic'
    CATEGORY = 1

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self._coco_api is None:
            raise ValueError('ClassAgnosticCocoMetric needs ann_file')
        coco = self._coco_api
        coco.dataset['categories'] = [dict(id=self.CATEGORY, name='object')]
        for annotation in coco.dataset['annotations']:
            annotation['category_id'] = self.CATEGORY
        coco.createIndex()

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        super().process(data_batch, data_samples)
        for _, prediction in self.results[-len(data_samples) :]:
            prediction['labels'] = prediction['labels'] * 0

    def compute_metrics(self, results: list) -> dict[str, float]:
        meta = self.dataset_meta
        self.dataset_meta = dict(classes=('object',))
        try:
            return super().compute_metrics(results)
        finally:
            self.dataset_meta = meta
