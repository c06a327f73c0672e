from .centroid_dice import CentroidDiceLoss, centroid_dice, soft_centroids
from .depth import AffineInvariantDepthLoss, SiLogDepthLoss
from .discriminative import DiscriminativeLoss
from .displacement import EuclideanLoss, LogCoshLoss, half_mean_squared_error, log_cosh
from .embedding_clusters import EmbeddingClusters
from .embedding_metrics import CenterEmbeddingLoss, ContrastiveEmbeddingLoss, TripletEmbeddingLoss
from .generalized_dice import GeneralizedDiceLoss
from .positional_embedding import PositionalEmbeddingLoss
from .precision import widen
from .reduction import normaliser, reduce_loss
from .total_variation import TotalVariationLoss

__all__ = [
    'AffineInvariantDepthLoss',
    'CenterEmbeddingLoss',
    'CentroidDiceLoss',
    'ContrastiveEmbeddingLoss',
    'DiscriminativeLoss',
    'EmbeddingClusters',
    'EuclideanLoss',
    'GeneralizedDiceLoss',
    'LogCoshLoss',
    'PositionalEmbeddingLoss',
    'SiLogDepthLoss',
    'TotalVariationLoss',
    'TripletEmbeddingLoss',
    'centroid_dice',
    'half_mean_squared_error',
    'log_cosh',
    'normaliser',
    'reduce_loss',
    'soft_centroids',
    'widen',
]
