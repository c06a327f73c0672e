# Frozen DINOv2 ViT-B and a linear head on ADE20K, crops of 37 x 37 patches.
_base_ = ['./_base_/dinov2_vitb.py', 'mmseg::_base_/datasets/ade20k.py', './_base_/schedule_80k.py']
crop_size = (518, 518)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomResize', scale=(2048, 518), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
model = dict(decode_head=dict(num_classes=150))
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
