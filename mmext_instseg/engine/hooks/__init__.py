from .check_class_priority_hook import CheckClassPriorityHook
from .non_finite_guard_hook import NonFiniteGuardHook
from .preemption_hook import PreemptionHook
from .random_state_hook import RandomStateHook
from .restore_best_hook import RestoreBestHook
from .time_budget_hook import TimeBudgetHook
from .train_metrics_hook import TrainMetricsHook
from .validation_loss_hook import ValidationLossHook

__all__ = [
    'CheckClassPriorityHook',
    'NonFiniteGuardHook',
    'PreemptionHook',
    'RandomStateHook',
    'RestoreBestHook',
    'TimeBudgetHook',
    'TrainMetricsHook',
    'ValidationLossHook',
]
