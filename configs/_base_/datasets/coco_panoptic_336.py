# Stage 2 (Section 5.1): squares of 336 pixels, batches of 512 on 8 GPUs.
_base_ = './coco_panoptic_420.py'
# ============================ Usual knobs ============================
size = 336  # a multiple of 14
batch_size = 64  # of one GPU
# =====================================================================
geometry = [
    dict(type='RandomResize', scale=(size, size), ratio_range=(0.8, 2.0), keep_ratio=True, resize_type='AlignedResize'),
    dict(type='DenseRandomCrop', crop_size=(size, size), allow_negative_crop=True),
    dict(type='DenseRandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load, *geometry, *_base_.pack]
test_pipeline = [*_base_.load, dict(type='AlignedResize', scale=(size, size), keep_ratio=True), *_base_.pack]
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
