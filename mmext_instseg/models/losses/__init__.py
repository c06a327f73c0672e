from .log_cosh import LogCoshLoss, half_mean_squared_error, log_cosh
from .reduction import normaliser, reduce_loss

__all__ = ['LogCoshLoss', 'half_mean_squared_error', 'log_cosh', 'normaliser', 'reduce_loss']
