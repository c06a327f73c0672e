# Cityscapes at its full size. A grows with the resolution (Section IV-B): 8. Batches of 2, the memory of 8 at 512x1024 (ours).
_base_ = './dcme_vgg16_80k_cityscapes-512x1024.py'
model = dict(
    # Cells of two pixels, so that peaks and radii are those of 512x1024; four times the votes.
    codec=dict(cell=2.0, min_votes=256.0),
    heads=dict(instance=dict(loss_displacement=dict(reference_shape=(512, 1024)))),
)
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
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
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
auto_scale_lr = dict(base_batch_size=2)
