_base_ = 'mmdet::_base_/datasets/coco_instance.py'

# COCO 2017 as AML-SOLOv2's paper takes it: 1200x680, flipped, scaled and cropped. The paper gives no ranges. Ours: SOLOv2's six scales
# (0.8 to 1 of the full one), then a crop of 0.8 to 1 of each side.
# ============================ Usual knobs ============================
scale = (1200, 680)  # longest width or height, and shortest
short_sides = (680, 652, 624, 598, 572, 544)
# data_root             ann_file, data_prefix and the evaluators' ann_file stand beside it: change them together
# train_dataloader.batch_size=2 is that of one GPU, for 8 of them; `--auto-scale-lr` fits the learning rate to other numbers
# =====================================================================
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(scale[0], side) for side in short_sides], resize_type='AlignedResize', keep_ratio=True),
    dict(type='RandomCrop', crop_type='relative_range', crop_size=(0.8, 0.8), recompute_bbox=True, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
