_base_ = './schedule_iters.py'

# The paper gives the batch of 6 alone (on one 11 GB GPU); optimiser, learning rate and number of iterations are ours.
# ============================ Usual knobs ============================
max_iters = 80000
base_lr = 2e-4
warmup_iters = 1500
val_interval = 8000
# =====================================================================
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup_iters),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=val_interval, max_keep_ckpts=2))
auto_scale_lr = dict(base_batch_size=6)
