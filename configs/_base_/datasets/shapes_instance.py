# Shapes: synthetic scenes, written under data_root on first use. Train on seed 0, validate on seed 1.
# ============================ Usual knobs ============================
data_root = 'data/shapes'
variant = 'standard'  # 'hard': colour says nothing about class
batch_size = 8
num_workers = 1
# =====================================================================
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='ShapesDataset', data_root=data_root, variant=variant, seed=0, num_images=800, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ShapesDataset', data_root=data_root, variant=variant, seed=1, num_images=100, test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_ann_file = f'{data_root}/v1_{variant}_128x128_seed1_n100/instances.json'
val_evaluator = [
    dict(type='CocoMetric', ann_file=val_ann_file, metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file=val_ann_file, metric='segm'),
]
test_evaluator = val_evaluator
