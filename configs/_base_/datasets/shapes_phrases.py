# Shapes with phrases ("the small red circle", "squares left of the star"), written under data_root on first use. No flips: they'd make
# phrases about left and right wrong. Train on seed 0, validate on seed 1.
# ============================ Usual knobs ============================
data_root = 'data/shapes'
variant = 'standard'
size = (128, 128)
batch_size = 16
num_workers = 1
# =====================================================================
load = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='GenerateInstanceMap'),
]
dataset = dict(type='ShapesPhraseDataset', data_root=data_root, variant=variant, size=size)
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'text', 'custom_entities', 'instances')
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, seed=0, num_images=800, pipeline=[*load, dict(type='PackDenseInputs')]),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        seed=1,
        num_images=100,
        test_mode=True,
        pipeline=[load[0], dict(type='PackDenseInputs', meta_keys=meta_keys)],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='PhraseMetric')
test_evaluator = val_evaluator
