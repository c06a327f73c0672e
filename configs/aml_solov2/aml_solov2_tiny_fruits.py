# Overfits 18 real photos on the CPU: the plumbing on real images, not a claim about generalisation.
_base_ = [
    '../_base_/models/aml_solov2_tiny.py',
    '../_base_/datasets/fruits_detection.py',
    '../_base_/schedule_iters.py',
]
max_iters = 1200
model = dict(mask_head=dict(num_classes=3))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=2)
