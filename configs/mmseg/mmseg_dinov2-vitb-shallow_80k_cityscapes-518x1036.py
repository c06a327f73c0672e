# DINOv2 ViT-B, fine-tuned, with PE-centroid's decoder on Cityscapes, crops of 37 x 74 patches.
_base_ = ['./_base_/dinov2_vitb.py', 'mmseg::_base_/datasets/cityscapes.py', './_base_/schedule_80k.py']
crop_size = (518, 1036)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(frozen_stages=-1),
    neck=dict(type='ShallowDecoder', in_channels=[768, 768, 768, 768], channels=256),
    decode_head=dict(in_channels=256, in_index=0, input_transform=None, channels=256),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2e-5))
