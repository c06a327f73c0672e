from .aml_solov2_head import AMLSOLOV2Head
from .dcme_head import DCMEHead
from .dense_head import DenseHead
from .dense_semantic_head import DenseSemanticHead
from .depth_head import DepthHead
from .embedding_head import EmbeddingHead
from .grid_class_head import GridClassHead, block_labels, touches_other
from .pe_centroid_head import PECentroidHead

__all__ = [
    'AMLSOLOV2Head',
    'DCMEHead',
    'DenseHead',
    'DenseSemanticHead',
    'DepthHead',
    'EmbeddingHead',
    'GridClassHead',
    'PECentroidHead',
    'block_labels',
    'touches_other',
]
