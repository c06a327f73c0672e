# One GPU (ours): one stage of 90,000 iterations of 16 images, 12 epochs, in bfloat16 with gradient checkpointing.
_base_ = './pe_centroid_vitb_46k_coco-420.py'
max_iters = 90000
model = dict(backbone=dict(with_cp=True))
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=1e-4))
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_iters=max_iters, val_interval=15000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=15000))
auto_scale_lr = dict(base_batch_size=16)
