# Dates, figs and hazelnuts: 18 photos of 800x600 with 165 polygons in COCO's format, trained and tested on themselves.
# ============================ Usual knobs ============================
data_root = '{{$MMEXT_FRUITS:data/fruits_nuts}}/'  # holds images/ and trainval.json; environment variable MMEXT_FRUITS
scale = (320, 240)  # (width, height) of the network's input
batch_size = 2
num_workers = 1
# =====================================================================
metainfo = dict(classes=('date', 'fig', 'hazelnut'), palette=[(120, 72, 40), (106, 60, 140), (222, 160, 60)])
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
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
dataset = dict(type='CocoDataset', data_root=data_root, metainfo=metainfo, ann_file='trainval.json', data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='CocoMetric', ann_file=data_root + 'trainval.json', metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file=data_root + 'trainval.json', metric='segm'),
]
test_evaluator = val_evaluator
