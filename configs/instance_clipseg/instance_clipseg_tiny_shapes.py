# Trains on the CPU in about 15 minutes: 2,000 iterations of 16 phrases about synthetic 128x128 images.
_base_ = [
    '../_base_/models/instance_clipseg_tiny.py',
    '../_base_/datasets/shapes_phrases.py',
    '../_base_/schedule_iters.py',
]
train_dataloader = dict(dataset=dict(templates=('{}',)))  # "a photo of ..." says nothing to a text tower that knows no photos
auto_scale_lr = dict(base_batch_size=16)
