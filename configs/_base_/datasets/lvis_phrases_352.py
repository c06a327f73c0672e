# LVIS v1 as phrases: a sample is an image, a category and one of its names; every image resized to 352x352.
# ============================ Usual knobs ============================
data_root = 'data/coco/'  # LVIS names COCO's images: train2017/..., val2017/...
scale = (352, 352)
batch_size = 64  # of all GPUs together
num_workers = 8
negative_prob = 0.2
# =====================================================================
image = dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images'))
resize = dict(type='AlignedResize', scale=scale, keep_ratio=False)
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'text', 'custom_entities', 'instances')
train_pipeline = [
    image,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
test_pipeline = [image, resize, dict(type='PackDenseInputs', meta_keys=meta_keys)]
dataset = dict(type='LVISPhraseDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, ann_file='annotations/lvis_v1_train.json', negative_prob=negative_prob, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, ann_file='annotations/lvis_v1_val.json', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='PhraseMetric')
test_evaluator = val_evaluator
