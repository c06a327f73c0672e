# ViT-L, stage 3: 1008 pixels; batches of 16, 50 epochs. Starts from stage 2.
_base_ = [
    '../_base_/models/pe_centroid_vitl.py',
    '../_base_/datasets/coco_panoptic_1008.py',
    '../_base_/schedule_layer_decay.py',
]
load_from = 'work_dirs/pe_centroid_vitl_stage2_46k_coco-336/iter_46200.pth'
max_iters = 370000
model = dict(backbone=dict(init_cfg=None))
train_cfg = dict(max_iters=max_iters, val_interval=37000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=37000))
auto_scale_lr = dict(base_batch_size=16)
