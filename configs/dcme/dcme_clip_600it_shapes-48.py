# The same scenes at 48x48: objects a quarter as large in pixels.
_base_ = './dcme_clip_600it_shapes-192.py'
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AlignedResize', scale=(48, 48)),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs'),
]
test_pipeline = [step for step in train_pipeline if step['type'] != 'RandomFlip']
model = dict(codec=dict(cell=1.0, join_radius=6, min_votes=2.0, min_area=2))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
