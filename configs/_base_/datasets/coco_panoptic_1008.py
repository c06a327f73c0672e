# Stage 3 (Section 5.1): 1008 pixels, hardly any cropping, batches of 16 on 8 GPUs.
_base_ = './coco_panoptic_420.py'
# ============================ Usual knobs ============================
size = 1008  # a multiple of 14
batch_size = 2  # of one GPU
# =====================================================================
geometry = [
    dict(type='RandomResize', scale=(size, size), ratio_range=(0.9, 1.2), keep_ratio=True, resize_type='AlignedResize'),
    dict(type='DenseRandomCrop', crop_size=(size, size), allow_negative_crop=True),
    dict(type='DenseRandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load, *geometry, *_base_.pack]
test_pipeline = [*_base_.load, dict(type='AlignedResize', scale=(size, size), keep_ratio=True), *_base_.pack]
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
