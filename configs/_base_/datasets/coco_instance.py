# COCO 2017, 80 classes, at no more pixels than Cityscapes' 512x1024: 640x480 becomes 683x512.
# ============================ Usual knobs ============================
data_root = 'data/coco/'
scale = (1024, 512)  # longest width or height, and shortest
batch_size = 16  # of all GPUs together; with 8 of them train_dataloader.batch_size=2
num_workers = 8
# =====================================================================
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_ann_file = data_root + 'annotations/instances_val2017.json'
val_evaluator = [
    dict(type='CocoMetric', ann_file=val_ann_file, metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file=val_ann_file, metric='segm'),
]
test_evaluator = val_evaluator
