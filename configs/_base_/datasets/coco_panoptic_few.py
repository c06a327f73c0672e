# A few images laid out as COCO 2017 panoptic, 80 thing and 53 stuff classes, trained and tested on themselves.
# ============================ Usual knobs ============================
data_root = '{{$MMEXT_COCO_FEW:data/coco_few}}/'  # holds train2017/ and annotations/; environment variable MMEXT_COCO_FEW
scale = (320, 240)  # longer and shorter side of the network's input
batch_size = 2
num_workers = 1
# =====================================================================
load = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=True),
]
pack = [dict(type='GenerateInstanceMap', num_things=80), dict(type='PackDenseInputs')]
train_pipeline = [*load, dict(type='DenseRandomFlip', prob=0.5), *pack]
test_pipeline = [*load, *pack]
dataset = dict(
    type='CocoPanopticDataset',
    data_root=data_root,
    ann_file='annotations/panoptic_train2017.json',
    data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
)
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
annotations = data_root + 'annotations/'
val_evaluator = [
    dict(type='CocoPanopticMetric', ann_file=annotations + 'panoptic_train2017.json', seg_prefix=annotations + 'panoptic_train2017/'),
    dict(type='CocoMetric', ann_file=annotations + 'instances_train2017.json', metric='segm'),
]
test_evaluator = val_evaluator
