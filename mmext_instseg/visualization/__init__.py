from .colours import CLASS_COLOURS, colour_wheel, instance_colours, wheel_key
from .panel import contact_sheet, draw_panel
from .pictures import draw_class_probability, draw_instances, draw_votes

__all__ = [
    'CLASS_COLOURS',
    'colour_wheel',
    'contact_sheet',
    'draw_class_probability',
    'draw_instances',
    'draw_panel',
    'draw_votes',
    'instance_colours',
    'wheel_key',
]
