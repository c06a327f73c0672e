# Shapes as mmseg's data: images and class maps, written under data_root on first use. Train on seed 0, validate on seed 1.
# ============================ Usual knobs ============================
data_root = 'data/shapes'
variant = 'standard'
size = (64, 64)
batch_size = 8
num_workers = 1
# =====================================================================
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset = dict(type='ShapesSegDataset', data_root=data_root, variant=variant, size=size)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, seed=0, num_images=800, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, seed=1, num_images=100, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
