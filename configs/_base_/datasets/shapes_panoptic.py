# Shapes with five thing and three stuff classes: synthetic scenes, written under data_root on first use. Train on seed 0, validate on 1.
# ============================ Usual knobs ============================
data_root = 'data/shapes'
variant = 'standard'  # 'hard': colour says nothing about class
batch_size = 8
num_workers = 1
# =====================================================================
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='GenerateInstanceMap', num_things=5),
    dict(type='PackDenseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='GenerateInstanceMap', num_things=5),
    dict(type='PackDenseInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='ShapesPanopticDataset', data_root=data_root, variant=variant, seed=0, num_images=800, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ShapesPanopticDataset', data_root=data_root, variant=variant, seed=1, num_images=100, test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_folder = f'{data_root}/v1_{variant}_128x128_seed1_n100'
val_evaluator = [
    dict(type='CocoPanopticMetric', ann_file=f'{val_folder}/panoptic.json', seg_prefix=f'{val_folder}/panoptic/'),
    dict(type='CocoMetric', ann_file=f'{val_folder}/instances.json', metric='segm'),
]
test_evaluator = val_evaluator
