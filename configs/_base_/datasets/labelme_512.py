# A folder of LabelMe JSON with the paper's five classes, every image resized to 512x512 (Section 7.1).
# First: python tools/labelme.py split data/aerial --out data/aerial/splits
# ============================ Usual knobs ============================
data_root = 'data/aerial/'
classes = ('Building', 'Greenhouse', 'Outbuilding', 'Vehicle', 'Swimming')
scale = (512, 512)
batch_size = 4
num_workers = 4
# =====================================================================
load = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='labelme')),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=scale, keep_ratio=False),
]
instance_map = dict(type='GenerateInstanceMap', overlap='ignore')
flip = dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal'])
pack = dict(type='PackDenseInputs')
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')  # the metrics' truth
test_pack = dict(type='PackDenseInputs', meta_keys=meta_keys)
train_pipeline = [*load, flip, instance_map, pack]
test_pipeline = [*load, instance_map, test_pack]
dataset = dict(type='LabelMeDataset', data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, ann_file='splits/train.txt', filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, ann_file='splits/val.txt', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, ann_file='splits/test.txt', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = [dict(type='CocoMetric', metric='segm'), dict(type='SemanticScores')]
test_evaluator = val_evaluator
