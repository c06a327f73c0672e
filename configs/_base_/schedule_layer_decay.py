_base_ = './schedule_iters.py'

# PE-centroid's (Section 5.1): AdamW 5e-4, linear warm-up, cosine, the learning rate of a ViT's earlier blocks reduced block by block.
# Length of the warm-up, decay rate and weight decay are ours. Iterations are epochs * 118,287 images / batch.
# ============================ Usual knobs ============================
max_iters = 46200
base_lr = 5e-4
warmup_iters = 1500
layer_decay_rate = 0.8
val_interval = 4620
base_batch_size = 512  # of all GPUs together
# Fewer GPUs: with optim_wrapper.accumulative_counts=N, N batches make one step and max_iters, T_max, end and the intervals are N times
# as many. Mixed precision: --amp, or optim_wrapper.type='AmpOptimWrapper' with dtype='bfloat16'.
# =====================================================================
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
optim_wrapper = dict(
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    optimizer=dict(lr=base_lr),
    paramwise_cfg=dict(layer_decay_rate=layer_decay_rate, norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup_iters),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=val_interval, max_keep_ckpts=2))
auto_scale_lr = dict(base_batch_size=base_batch_size)
