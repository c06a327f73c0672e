from .class_agnostic import ClassAgnosticCocoMetric
from .classwise import ClasswiseCityScapesMetric, ClasswiseCocoMetric
from .depth_map import DepthMapMetric
from .detection_accuracy import DetectionAccuracy
from .grid_class_accuracy import GridClassAccuracy
from .iou_by_area import IoUByArea
from .phrase_metric import PhraseMetric
from .semantic_scores import SemanticScores
from .tables import Table, class_ap_table, detection_table, grid_class_table

__all__ = [
    'ClassAgnosticCocoMetric',
    'ClasswiseCityScapesMetric',
    'ClasswiseCocoMetric',
    'DepthMapMetric',
    'DetectionAccuracy',
    'GridClassAccuracy',
    'IoUByArea',
    'PhraseMetric',
    'SemanticScores',
    'Table',
    'class_ap_table',
    'detection_table',
    'grid_class_table',
]
