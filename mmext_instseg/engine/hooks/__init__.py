from .check_class_priority_hook import CheckClassPriorityHook
from .restore_best_hook import RestoreBestHook
from .time_budget_hook import TimeBudgetHook
from .train_metrics_hook import TrainMetricsHook
from .validation_loss_hook import ValidationLossHook

__all__ = ['CheckClassPriorityHook', 'RestoreBestHook', 'TimeBudgetHook', 'TrainMetricsHook', 'ValidationLossHook']
