from .aml_solov2_head import AMLSOLOV2Head
from .binary_mask_head import BinaryMaskHead
from .center_heatmap_head import CenterHeatmapHead
from .dcme_head import DCMEHead
from .dense_head import DenseHead
from .dense_semantic_head import DenseSemanticHead
from .depth_head import DepthHead
from .distance_map_head import DistanceMapHead
from .embedding_head import EmbeddingHead
from .grid_class_head import GridClassHead, block_labels, touches_other
from .pe_centroid_head import PECentroidHead

__all__ = [
    'AMLSOLOV2Head',
    'BinaryMaskHead',
    'CenterHeatmapHead',
    'DCMEHead',
    'DenseHead',
    'DenseSemanticHead',
    'DepthHead',
    'DistanceMapHead',
    'EmbeddingHead',
    'GridClassHead',
    'PECentroidHead',
    'block_labels',
    'touches_other',
]
