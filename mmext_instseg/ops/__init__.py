from .dbscan import adaptive_parameters, dbscan_cores, linked_cores, sample_by_value
from .edge_distance import edge_distance, edge_weight
from .masks import blank_masks, enlarge_masks, mask_boxes, mask_moments, shrink_masks
from .matrix_nms import mask_intersections, mask_iou, matrix_nms
from .nearest_core import nearest_core
from .phrases import check_phrase, quote_phrase
from .sampling import sample_bilinear, sample_ids, sample_nearest
from .seams import core_edges, join_pairs, label_pieces, match_pieces, tile_starts
from .segments import joint_histogram, largest_share, majority_label, segment_geometry, segment_mean, segment_sum
from .votes import find_peaks, nearest_peak, smooth_votes, vote_histogram

__all__ = [
    'adaptive_parameters',
    'blank_masks',
    'check_phrase',
    'core_edges',
    'dbscan_cores',
    'edge_distance',
    'edge_weight',
    'enlarge_masks',
    'find_peaks',
    'join_pairs',
    'joint_histogram',
    'label_pieces',
    'largest_share',
    'linked_cores',
    'majority_label',
    'mask_boxes',
    'mask_intersections',
    'mask_iou',
    'mask_moments',
    'match_pieces',
    'matrix_nms',
    'nearest_core',
    'nearest_peak',
    'quote_phrase',
    'sample_bilinear',
    'sample_by_value',
    'sample_ids',
    'sample_nearest',
    'segment_geometry',
    'segment_mean',
    'segment_sum',
    'shrink_masks',
    'smooth_votes',
    'tile_starts',
    'vote_histogram',
]
