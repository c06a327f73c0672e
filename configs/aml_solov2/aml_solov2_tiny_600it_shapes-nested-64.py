# The table of collisions: nearly a third of the objects share a cell with another. With matching.
_base_ = './aml_solov2_tiny_600it_shapes-64.py'
model = dict(mask_head=dict(num_grids=[18, 12, 9, 7, 5]))
train_dataloader = dict(dataset=dict(variant='nested'))
val_dataloader = dict(dataset=dict(variant='nested'))
test_dataloader = dict(dataset=dict(variant='nested'))
val_ann_file = f'{_base_.data_root}/v1_nested_64x64_seed1_n100/instances.json'
val_evaluator = [
    dict(type='CocoMetric', ann_file=val_ann_file, metric='segm'),
    dict(type='ClassAgnosticCocoMetric', ann_file=val_ann_file, metric='segm'),
]
test_evaluator = val_evaluator
