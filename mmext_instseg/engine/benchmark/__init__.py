from .decode import USUAL, decode_by_loop, decode_cases
from .measurement import Case, Measurement, describe_machine, measure
from .report import measurement_rows, plot_measurements

__all__ = [
    'USUAL',
    'Case',
    'Measurement',
    'decode_by_loop',
    'decode_cases',
    'describe_machine',
    'measure',
    'measurement_rows',
    'plot_measurements',
]
