# Learns a few real COCO images by heart on the CPU: the plumbing on real images, not a claim about generalisation.
_base_ = [
    '../_base_/models/pe_centroid_tiny.py',
    '../_base_/datasets/coco_panoptic_few.py',
    '../_base_/schedule_iters.py',
]
model = dict(heads=dict(semantic=dict(num_things_classes=80, num_stuff_classes=53)))
auto_scale_lr = dict(base_batch_size=2)
