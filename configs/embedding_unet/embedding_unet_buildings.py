# Buildings in drone frames, on the CPU: small data of one flight, tested on its last fifth.
_base_ = [
    '../_base_/models/embedding_unet_tiny.py',
    '../_base_/datasets/labelme_buildings.py',
    '../_base_/schedule_iters.py',
]
max_iters = 1000
model = dict(
    codec=dict(min_area=48),
    heads=dict(semantic=dict(num_things_classes=1)),
    test_cfg=dict(semantic=True),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=2)
