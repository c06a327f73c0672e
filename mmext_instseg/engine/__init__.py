from .hooks import CheckClassPriorityHook, RestoreBestHook, TimeBudgetHook, TrainMetricsHook, ValidationLossHook

__all__ = ['CheckClassPriorityHook', 'RestoreBestHook', 'TimeBudgetHook', 'TrainMetricsHook', 'ValidationLossHook']
