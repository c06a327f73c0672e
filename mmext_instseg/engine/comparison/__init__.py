from .report import CSV_NAME, PLOT_NAME, TABLE_NAME, write_report
from .runs import Run, RunError, execute, finished, lock_folder
from .settings import claim_folder, with_budget

__all__ = [
    'CSV_NAME',
    'PLOT_NAME',
    'TABLE_NAME',
    'Run',
    'RunError',
    'claim_folder',
    'execute',
    'finished',
    'lock_folder',
    'with_budget',
    'write_report',
]
