# Cityscapes at 1568x784 (PE-centroid, Section 5.1): images of 2048x1024 scaled, flipped, not cropped.
_base_ = './cityscapes_panoptic.py'
# ============================ Usual knobs ============================
scale = (1568, 784)  # (width, height), multiples of 14
batch_size = 2  # of one GPU; 8 of them make the paper's 16
# =====================================================================
load = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
]
pack = [dict(type='GenerateInstanceMap', num_things=8), dict(type='PackDenseInputs')]
train_pipeline = [*load, dict(type='RandomFlip', prob=0.5), *pack]
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=[*load, *pack]))
test_dataloader = val_dataloader
