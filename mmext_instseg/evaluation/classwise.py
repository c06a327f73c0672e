"""AP of each class among the results of mmdet's metrics: Tables I, II and IV of the DCME paper."""

import importlib.util

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation.functional import evaluateImgLists
from mmdet.evaluation.metrics import CityScapesMetric, CocoMetric

from ..registry import METRICS
from .tables import class_ap_table, log_table


@METRICS.register_module()
class ClasswiseCocoMetric(CocoMetric):
    """mmdet's `CocoMetric` with `AP_<class>` and `AP50_<class>` of the masks besides, where 'segm' is among the metrics.

    In [0, 1], NaN for a class without instances; over IoU 0.50:0.05:0.95 and with 100 detections a class and image, as pycocotools
    has it by default. (`CocoMetric(classwise=True)` gives AP alone, rounded to three digits.)
    """

    _coco_api: COCO | None
    cat_ids: list[int] | None

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See the class."""
        metrics = super().compute_metrics(results)
        if 'segm' not in self.metrics or self.format_only:
            return metrics
        assert self._coco_api is not None and self.cat_ids is not None  # set by the parent
        rows = [
            dict(image_id=one['img_id'], category_id=self.cat_ids[label], segmentation=mask, score=float(score))
            for _, one in results
            for label, mask, score in zip(one['labels'], one['masks'], one.get('mask_scores', one['scores']), strict=True)
        ]
        found = class_ap(self._coco_api, self._coco_api.loadRes(rows) if rows else COCO(), self.cat_ids)
        names = [one['name'] for one in self._coco_api.loadCats(self.cat_ids)]
        per_class = {f'{key}_{name}': float(value) for key, column in found.items() for name, value in zip(names, column, strict=True)}
        log_table('Mask AP of each class by pycocotools', class_ap_table(per_class))
        return {**metrics, **per_class}


@METRICS.register_module()
class ClasswiseCityScapesMetric(CityScapesMetric):
    """mmdet's `CityScapesMetric` with `AP_<class>` and `AP50_<class>` of cityscapesscripts besides, in [0, 1], NaN without instances.

    Raises:
        ImportError: cityscapesscripts isn't installed.
    """

    tmp_dir = None  # the parent's __del__ reads it, even of an instance that was never made

    def __init__(self, *args, **kwargs) -> None:
        if importlib.util.find_spec('cityscapesscripts') is None:
            raise ImportError("ClasswiseCityScapesMetric: pip install cityscapesscripts, a part of this package's extra 'openmmlab'")
        super().__init__(*args, **kwargs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """As the parent, whose results leave the classes out."""
        if self.format_only:
            return super().compute_metrics(results)
        import cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling as scripts

        scripts.args.JSONOutput = scripts.args.colorized = False
        scripts.args.gtInstancesFile = f'{self.outfile_prefix}/gtInstances.json'
        truths, predictions = [one['file_name'] for one, _ in results], [one['pred_txt'] for _, one in results]
        averages = evaluateImgLists(predictions, truths, scripts.args, self.backend_args, dump_matches=self.dump_matches)['averages']
        per_class = {
            f'{key}_{name}': float(values[script_key])
            for key, script_key in (('AP', 'ap'), ('AP50', 'ap50%'))
            for name, values in averages['classes'].items()
        }
        log_table('Mask AP of each class by cityscapesscripts', class_ap_table(per_class))
        return {'mAP': float(averages['allAp']), 'AP@50': float(averages['allAp50%']), **per_class}


def class_ap(truth: COCO, found: COCO, categories: list[int]) -> dict[str, np.ndarray]:
    """{'AP': ..., 'AP50': ...} of masks, each (C,) float64 in the order of `categories`, NaN for a category without instances."""
    evaluation = COCOeval(truth, found, 'segm')
    evaluation.params.catIds = categories
    evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ['all']
    evaluation.params.maxDets = [100]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval['precision'][..., 0, 0]  # (thresholds, recalls, classes), -1 without instances
    precision = np.where(precision < 0, np.nan, precision)
    return {'AP': precision.mean(axis=(0, 1)), 'AP50': precision[0].mean(axis=0)}
