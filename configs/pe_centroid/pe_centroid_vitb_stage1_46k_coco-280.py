# ViT-B, stage 1: instances alone, without classes; batches of 1024, 400 epochs.
_base_ = [
    '../_base_/models/pe_centroid_vitb.py',
    '../_base_/datasets/coco_panoptic_280.py',
    '../_base_/schedule_layer_decay.py',
]
model = dict(
    heads=dict(
        _delete_=True,  # no semantic head
        instance=dict(type='PECentroidHead', in_channels=256, num_convs=0, edge=dict(d=20.0, w_min=0.0)),
    ),
    test_cfg=dict(panoptic=False),
)
val_evaluator = [dict(type='ClassAgnosticCocoMetric', ann_file='data/coco/annotations/instances_val2017.json', metric='segm')]
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=1024)
