# Trains on the CPU in minutes: 2,000 iterations of 8 synthetic 128x128 images.
_base_ = [
    '../_base_/models/embedding_unet_tiny.py',
    '../_base_/datasets/shapes_instance.py',
    '../_base_/schedule_iters.py',
]
