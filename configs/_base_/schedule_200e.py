_base_ = './runtime.py'

# Embedding U-Net's (Section 7.1): AdamW, cosine over 200 epochs, batches of 4; stops 15 epochs after the best validation loss, with its
# weights.
# ============================ Usual knobs ============================
max_epochs = 200
base_lr = 1e-4
patience = 15  # epochs
# =====================================================================
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=base_lr, betas=(0.9, 0.999), weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs)]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='val_loss', rule='less'))
custom_hooks = [
    dict(type='ValidationLossHook'),
    dict(type='TrainMetricsHook', evaluator=[dict(type='SemanticScores')]),
    dict(type='EarlyStoppingHook', monitor='val_loss', rule='less', min_delta=1e-5, patience=patience, strict=True),
    dict(type='RestoreBestHook'),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
