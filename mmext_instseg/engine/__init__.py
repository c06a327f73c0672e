from .hooks import CheckClassPriorityHook, RestoreBestHook, TimeBudgetHook, ValidationLossHook

__all__ = ['CheckClassPriorityHook', 'RestoreBestHook', 'TimeBudgetHook', 'ValidationLossHook']
