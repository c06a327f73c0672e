from .hooks import TimeBudgetHook

__all__ = ['TimeBudgetHook']
