from .centroid_dice import CentroidDiceLoss, centroid_dice, soft_centroids
from .displacement import EuclideanLoss, LogCoshLoss, half_mean_squared_error, log_cosh
from .reduction import normaliser, reduce_loss

__all__ = [
    'CentroidDiceLoss',
    'EuclideanLoss',
    'LogCoshLoss',
    'centroid_dice',
    'half_mean_squared_error',
    'log_cosh',
    'normaliser',
    'reduce_loss',
    'soft_centroids',
]
