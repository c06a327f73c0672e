# Trains on the CPU in minutes: CSPAM-18 of an eighth of its width and TWFPN, 600 iterations of 8 synthetic 64x64 images.
_base_ = ['./_base_/cspam_twfpn.py', './_base_/shapes_semantic.py', './_base_/schedule_80k.py']
max_iters = 600
width = 8  # channels of the backbone's C2; doubles at each level
channels = 32
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, base_channels=width, init_cfg=None),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=channels),
    decode_head=dict(in_channels=[channels] * 4, channels=channels, num_classes=8, dropout_ratio=0.0, norm_cfg=dict(type='BN')),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=50, end=max_iters, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=8)
