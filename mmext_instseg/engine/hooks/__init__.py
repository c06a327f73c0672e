from .check_class_priority_hook import CheckClassPriorityHook
from .time_budget_hook import TimeBudgetHook

__all__ = ['CheckClassPriorityHook', 'TimeBudgetHook']
