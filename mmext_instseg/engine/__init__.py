from .hooks import CheckClassPriorityHook, TimeBudgetHook

__all__ = ['CheckClassPriorityHook', 'TimeBudgetHook']
