# 64x64 scenes at four times their size, 600 iterations: the learning table, all three parts.
_base_ = './aml_solov2_tiny_shapes.py'
scale = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=scale),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs'),
]
test_pipeline = [step for step in train_pipeline if step['type'] != 'RandomFlip']
width = 16  # at 8, blocks of CSPAM-18 have 6 channels: too few for the race (docs/methods/aml_solov2.md)
model = dict(
    backbone=dict(base_channels=width),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width]),
    mask_head=dict(num_grids=[24, 16, 12, 8, 6]),
)
train_dataloader = dict(batch_size=4, dataset=dict(size=(64, 64), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(size=(64, 64), pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(size=(64, 64), pipeline=test_pipeline))
val_ann_file = f'{_base_.data_root}/v1_{_base_.variant}_64x64_seed1_n100/instances.json'
val_evaluator = [
    dict(type='CocoMetric', ann_file=val_ann_file, metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file=val_ann_file, metric='segm'),
]
test_evaluator = val_evaluator
max_iters = 600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # at 2e-3 some seeds hardly learn classes
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=4)
