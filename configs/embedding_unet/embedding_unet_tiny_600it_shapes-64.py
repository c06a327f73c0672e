# The learning table: 64x64 scenes, 600 iterations, lambda = 0.5 as in the paper.
_base_ = './embedding_unet_tiny_shapes.py'
size = (64, 64)
max_iters = 600
model = dict(heads=dict(instance=dict(loss_weight=0.5)), test_cfg=dict(semantic=True))
train_dataloader = dict(dataset=dict(size=size))
val_dataloader = dict(dataset=dict(size=size))
test_dataloader = dict(dataset=dict(size=size))
val_ann_file = f'{_base_.data_root}/v1_{_base_.variant}_64x64_seed1_n100/instances.json'
val_evaluator = [
    dict(type='CocoMetric', ann_file=val_ann_file, metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file=val_ann_file, metric='segm'),
    dict(type='SemanticScores'),
]
test_evaluator = val_evaluator
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
