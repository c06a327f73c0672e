from .colours import CLASS_COLOURS, UNMATCHED, colour_wheel, instance_colours, wheel_key
from .panel import contact_sheet, draw_panel
from .pictures import draw_class_probability, draw_instances, draw_votes, match_colours, mean_votes

__all__ = [
    'CLASS_COLOURS',
    'UNMATCHED',
    'colour_wheel',
    'contact_sheet',
    'draw_class_probability',
    'draw_instances',
    'draw_panel',
    'draw_votes',
    'instance_colours',
    'match_colours',
    'mean_votes',
    'wheel_key',
]
