# COCO 2017 panoptic, 80 thing and 53 stuff classes, in squares of 420 pixels: images scaled and cropped (ours; the paper gives the size).
# ============================ Usual knobs ============================
data_root = 'data/coco/'
size = 420  # a multiple of 14
batch_size = 64  # of one GPU; 8 of them make the 512 of the schedule
num_workers = 8
# =====================================================================
load_image = dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images'))
load = [load_image, dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True)]
pack = [dict(type='GenerateInstanceMap', num_things=80), dict(type='PackDenseInputs')]
geometry = [
    dict(type='RandomResize', scale=(size, size), ratio_range=(0.8, 2.0), keep_ratio=True, resize_type='AlignedResize'),
    dict(type='DenseRandomCrop', crop_size=(size, size), allow_negative_crop=True),
    dict(type='DenseRandomFlip', prob=0.5),
]
train_pipeline = [*load, *geometry, *pack]
test_pipeline = [*load, dict(type='AlignedResize', scale=(size, size), keep_ratio=True), *pack]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CocoPanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
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
        type='CocoPanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CocoPanopticMetric',
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        seg_prefix=data_root + 'annotations/panoptic_val2017/',
    ),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val2017.json', metric='segm'),
]
test_evaluator = val_evaluator
