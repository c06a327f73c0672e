# ViT-L on Cityscapes: from stage 2 on COCO; batches of 16, 400 epochs (Section 5.1); grid 160 x 320 (Section 5.2).
_base_ = [
    '../_base_/models/pe_centroid_vitl.py',
    '../_base_/datasets/cityscapes_panoptic_784x1568.py',
    '../_base_/schedule_layer_decay.py',
]
load_from = 'work_dirs/pe_centroid_vitl_stage2_46k_coco-336/iter_46200.pth'  # its semantic projection has other classes and is left out
max_iters = 74000
model = dict(
    backbone=dict(init_cfg=None),
    codec=dict(grid=(160, 320)),
    heads=dict(semantic=dict(num_things_classes=8, num_stuff_classes=11)),
)
train_cfg = dict(max_iters=max_iters, val_interval=7400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=7400))
auto_scale_lr = dict(base_batch_size=16)
