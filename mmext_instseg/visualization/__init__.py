from .colours import CLASS_COLOURS, UNMATCHED, colour_wheel, instance_colours, wheel_key
from .confidence import CONFIDENCE_COLOURS, ConfidenceStatistics, confidence_colours, confidence_statistics, size_confidence
from .embeddings import embedding_colours
from .panel import contact_sheet, draw_panel, draw_side_by_side, panel_factor
from .phrase_maps import phrase_pictures
from .pictures import (
    colours_of_truth,
    draw_class_probability,
    draw_instances,
    draw_panoptic,
    draw_scalar,
    draw_votes,
    match_colours,
    mean_votes,
)
from .tables import markdown_table, print_table, write_csv
from .training_log import TrainingLog, choose_metrics, log_rows, plot_logs, read_training_log

__all__ = [
    'CLASS_COLOURS',
    'CONFIDENCE_COLOURS',
    'UNMATCHED',
    'ConfidenceStatistics',
    'TrainingLog',
    'choose_metrics',
    'colour_wheel',
    'colours_of_truth',
    'confidence_colours',
    'confidence_statistics',
    'contact_sheet',
    'draw_class_probability',
    'draw_instances',
    'draw_panel',
    'draw_panoptic',
    'draw_scalar',
    'draw_side_by_side',
    'draw_votes',
    'embedding_colours',
    'instance_colours',
    'log_rows',
    'markdown_table',
    'match_colours',
    'mean_votes',
    'panel_factor',
    'phrase_pictures',
    'plot_logs',
    'print_table',
    'read_training_log',
    'size_confidence',
    'wheel_key',
    'write_csv',
]
