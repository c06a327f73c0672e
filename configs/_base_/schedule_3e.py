_base_ = './runtime.py'

# InstanceCLIPSeg's: 3 epochs ("limited training"). The optimiser is CLIPSeg's, as the paper names none: AdamW 1e-3, cosine, batch 64.
# ============================ Usual knobs ============================
max_epochs = 3
base_lr = 1e-3
# =====================================================================
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.01), clip_grad=dict(max_norm=5.0))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3))
auto_scale_lr = dict(enable=False, base_batch_size=64)
