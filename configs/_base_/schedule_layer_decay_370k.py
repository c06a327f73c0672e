# PE-centroid's third stage (Section 5.1): batches of 16, 50 epochs.
_base_ = './schedule_layer_decay.py'
# ============================ Usual knobs ============================
max_iters = 370000
val_interval = 37000
# =====================================================================
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=_base_.warmup_iters),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=val_interval))
auto_scale_lr = dict(base_batch_size=16)
