from .displacement import EuclideanLoss, LogCoshLoss, half_mean_squared_error, log_cosh
from .reduction import normaliser, reduce_loss

__all__ = ['EuclideanLoss', 'LogCoshLoss', 'half_mean_squared_error', 'log_cosh', 'normaliser', 'reduce_loss']
