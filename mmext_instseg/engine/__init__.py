from .hooks import (
    CheckClassPriorityHook,
    NonFiniteGuardHook,
    PreemptionHook,
    RandomStateHook,
    RestoreBestHook,
    TimeBudgetHook,
    TrainMetricsHook,
    ValidationLossHook,
)
from .loops import ResumableEpochBasedTrainLoop, ResumableIterBasedTrainLoop

__all__ = [
    'CheckClassPriorityHook',
    'NonFiniteGuardHook',
    'PreemptionHook',
    'RandomStateHook',
    'RestoreBestHook',
    'ResumableEpochBasedTrainLoop',
    'ResumableIterBasedTrainLoop',
    'TimeBudgetHook',
    'TrainMetricsHook',
    'ValidationLossHook',
]
