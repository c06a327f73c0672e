# For the claim that clipping matters more the larger the objects are in pixels: a narrow network on Shapes enlarged to 192x192.
# Beside it dcme_mse_600it_shapes-192.py and both at 48x48; vectors in pixels, every pixel weighs the same, as in the paper.
_base_ = './dcme_tiny_shapes.py'
max_iters = 600
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=(192, 192)),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
test_pipeline = [step for step in train_pipeline if step['type'] != 'RandomFlip']
model = dict(
    backbone=dict(base_channels=8),
    codec=dict(cell=2.0, min_votes=18.0, min_area=27, unit=1.0, background_weight=1.0, reference_side=None),
    heads=dict(
        instance=dict(in_channels=8, loss_displacement=dict(type='LogCoshLoss', amplitude=4.0)),
        semantic=dict(in_channels=8),
    ),
)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
auto_scale_lr = dict(base_batch_size=2)
