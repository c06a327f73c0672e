# Overfits 18 real photos on the CPU: the plumbing on real images, not a claim about generalisation.
_base_ = [
    '../_base_/models/dcme_tiny.py',
    '../_base_/datasets/fruits_instance.py',
    '../_base_/schedule_iters.py',
]
max_iters = 1200
model = dict(heads=dict(semantic=dict(num_things_classes=3)), codec=dict(peak_radius=4, join_radius=16, min_votes=20.0, min_area=60))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=2)
