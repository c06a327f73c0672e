# The learning table, C5: 64x64 scenes, 600 iterations. Two stages of the paper's four, to learn in so few.
_base_ = './instance_clipseg_tiny_shapes.py'
size = (64, 64)
max_iters = 600
codec = dict(sigma=3.0)  # wide: the centres tell the phrases apart first
model = dict(
    backbone=dict(arch=dict(image_size=64)),
    codec=codec,
    heads=dict(mask=dict(init_cfg=dict(std=0.15))),
)
train_dataloader = dict(batch_size=32, dataset=dict(size=size))
val_dataloader = dict(dataset=dict(size=size))
test_dataloader = dict(dataset=dict(size=size))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=32)
