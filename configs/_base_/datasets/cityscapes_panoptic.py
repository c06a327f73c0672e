# Cityscapes, eight thing and eleven stuff classes. Once: unpack leftImg8bit and gtFine under data_root, let cityscapesscripts'
# createPanopticImgs write gtFine/cityscapes_panoptic_{train,val}, then `python tools/convert_cityscapes.py data/cityscapes`.
# ============================ Usual knobs ============================
data_root = 'data/cityscapes/'
scale = (1024, 512)  # (width, height) of the network's input; the images are twice as large
batch_size = 6
num_workers = 4
# =====================================================================
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='GenerateInstanceMap', num_things=8),
    dict(type='PackDenseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
    dict(type='GenerateInstanceMap', num_things=8),
    dict(type='PackDenseInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CityscapesPanopticDataset',
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/'),
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
        type='CityscapesPanopticDataset',
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CocoPanopticMetric',
        ann_file=data_root + 'gtFine/cityscapes_panoptic_val.json',
        seg_prefix=data_root + 'gtFine/cityscapes_panoptic_val/',
        backend_args=dict(backend='cityscapes_panoptic'),
    ),
    # Several machines: outfile_prefix, a folder that all of them see, another one for each run
    dict(type='ClasswiseCityScapesMetric', seg_prefix=data_root + 'gtFine/val', outfile_prefix=None),
]
test_evaluator = val_evaluator
