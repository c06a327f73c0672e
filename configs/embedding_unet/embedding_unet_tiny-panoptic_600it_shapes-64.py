# Panoptic output (Section 6.3): 64x64 scenes with stuff, 600 iterations.
_base_ = [
    '../_base_/models/embedding_unet_tiny.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedule_iters.py',
]
size = (64, 64)
max_iters = 600
model = dict(heads=dict(semantic=dict(num_stuff_classes=3)), test_cfg=dict(panoptic=True))
train_dataloader = dict(dataset=dict(size=size))
val_dataloader = dict(dataset=dict(size=size))
test_dataloader = dict(dataset=dict(size=size))
val_folder = f'{_base_.data_root}/v1_{_base_.variant}_64x64_seed1_n100'
val_evaluator = [
    dict(type='CocoPanopticMetric', ann_file=f'{val_folder}/panoptic.json', seg_prefix=f'{val_folder}/panoptic/'),
    dict(type='CocoMetric', ann_file=f'{val_folder}/instances.json', metric='segm'),
]
test_evaluator = val_evaluator
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
