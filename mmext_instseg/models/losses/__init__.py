from .centroid_dice import CentroidDiceLoss, centroid_dice, soft_centroids
from .depth import AffineInvariantDepthLoss, SiLogDepthLoss
from .displacement import EuclideanLoss, LogCoshLoss, half_mean_squared_error, log_cosh
from .generalized_dice import GeneralizedDiceLoss
from .positional_embedding import PositionalEmbeddingLoss
from .precision import widen
from .reduction import normaliser, reduce_loss
from .total_variation import TotalVariationLoss

__all__ = [
    'AffineInvariantDepthLoss',
    'CentroidDiceLoss',
    'EuclideanLoss',
    'GeneralizedDiceLoss',
    'LogCoshLoss',
    'PositionalEmbeddingLoss',
    'SiLogDepthLoss',
    'TotalVariationLoss',
    'centroid_dice',
    'half_mean_squared_error',
    'log_cosh',
    'normaliser',
    'reduce_loss',
    'soft_centroids',
    'widen',
]
