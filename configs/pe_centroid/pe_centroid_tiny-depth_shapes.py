# Instances, classes and metric depth together: `pe_centroid_tiny_shapes` with a third head, on the depth maps that Shapes makes.
_base_ = './pe_centroid_tiny_shapes.py'
load = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images')),
    dict(type='LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='LoadDepthMap', kind='metric', scale=0.001),
]
pack = [dict(type='GenerateInstanceMap', num_things=5), dict(type='PackDenseInputs')]
train_pipeline = [*load, dict(type='DenseRandomFlip', prob=0.5), *pack]
test_pipeline = [*load, *pack]
model = dict(heads=dict(depth=dict(type='DepthHead', kind='metric', in_channels=_base_.width, in_index=4, channels=32)))
train_dataloader = dict(dataset=dict(depth=True, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(depth=True, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(depth=True, pipeline=test_pipeline))
val_evaluator = [
    *_base_.val_evaluator,
    dict(type='DepthMapMetric', depth_metrics=['rmse', 'abs_rel'], min_depth_eval=0.001, max_depth_eval=10.0),
]
test_evaluator = val_evaluator
