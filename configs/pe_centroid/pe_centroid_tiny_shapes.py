# Trains on the CPU in minutes: 2,000 iterations of 8 synthetic 128x128 images.
_base_ = [
    '../_base_/models/pe_centroid_tiny.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedule_iters.py',
]
