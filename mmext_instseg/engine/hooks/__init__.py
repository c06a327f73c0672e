from .check_class_priority_hook import CheckClassPriorityHook
from .time_budget_hook import TimeBudgetHook
from .validation_loss_hook import RestoreBestHook, ValidationLossHook

__all__ = ['CheckClassPriorityHook', 'RestoreBestHook', 'TimeBudgetHook', 'ValidationLossHook']
