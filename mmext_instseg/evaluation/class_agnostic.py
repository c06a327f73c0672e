"""AP that doesn't ask for the class."""

from collections.abc import Sequence
from typing import Any

from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation.metrics import CocoMetric

from ..registry import METRICS

_CATEGORY: dict[str, Any] = {'id': 1, 'name': 'object'}


@METRICS.register_module()
class ClassAgnosticCocoMetric(CocoMetric):
    """mmdet's `CocoMetric` with all classes merged into one, in the predictions and in the ground truth.

    How well objects are found and outlined, whatever they are called. Annotations of categories that are not among the data set's
    classes stay out, as in `CocoMetric`; the annotation file itself stays as it is. Keys begin with `agnostic/`. Where nothing at
    all was predicted, the result is 0 (`CocoMetric` gives no result).

    Args:
        metric: 'segm' by default.
        **kwargs: as `CocoMetric`. `ann_file` may be absent where the data samples hold `instances`.
    """

    default_prefix = 'agnostic'
    _coco_api: COCO | None
    cat_ids: list[int] | None

    def __init__(self, ann_file: str | None = None, metric: str | list[str] = 'segm', **kwargs) -> None:
        super().__init__(ann_file=ann_file, metric=metric, **kwargs)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps one batch; see `CocoMetric`."""
        super().process(data_batch, data_samples)
        for _, prediction in self.results[-len(data_samples) :]:
            prediction['labels'] = prediction['labels'] * 0

    def gt_to_coco_json(self, gt_dicts: Sequence[dict], outfile_prefix: str) -> str:
        """As `CocoMetric`, where there is no annotation file, with one class."""
        merged = [{**one, 'anns': [{**annotation, 'bbox_label': 0} for annotation in one['anns']]} for one in gt_dicts]
        return super().gt_to_coco_json(merged, outfile_prefix)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See `CocoMetric`."""
        if self._coco_api is not None and self.cat_ids is None:
            self._coco_api = merge_categories(self._coco_api, self.dataset_meta['classes'])
            self.cat_ids = [_CATEGORY['id']]
        metrics = super().compute_metrics(results)
        if not self.format_only and not any(len(prediction['labels']) for _, prediction in results):
            items = self.metric_items or ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
            nothing = {f'{metric}_{item}': 0.0 for metric in self.metrics if metric in ('bbox', 'segm') for item in items}
            metrics = {**nothing, **metrics}
        return metrics


def merge_categories(coco: COCO, names: Sequence[str]) -> COCO:
    """A copy of a COCO index in which all annotations of the categories called `names` belong to one category, without the others."""
    chosen = set(coco.get_cat_ids(cat_names=list(names)))
    annotations = [one for one in coco.dataset.get('annotations', []) if one['category_id'] in chosen]
    merged = COCO()
    merged.dataset = {
        **coco.dataset,
        'categories': [_CATEGORY],
        'annotations': [{**one, 'category_id': _CATEGORY['id']} for one in annotations],
    }
    merged.createIndex()
    merged.img_ann_map, merged.cat_img_map = merged.imgToAnns, merged.catToImgs
    return merged
