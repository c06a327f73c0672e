# ViT-B with depth: RMSE and AbsRel on NYUv2's test set (654 images), for the same weights that the stage 3 config tests on COCO.
_base_ = './pe_centroid_vitb-depth_stage3_370k_coco-nyu-1008.py'
pipeline = [
    _base_.load_image,
    dict(type='LoadDepthMap', kind='metric', scale=0.001),
    dict(type='AlignedResize', scale=(_base_.size, _base_.size), keep_ratio=True),
    dict(type='PackDenseInputs'),
]
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='DepthDataset',
        metainfo='CocoPanopticDataset',
        data_root=_base_.nyu_root,
        data_prefix=dict(img_path='images/test', depth_map_path='annotations/test'),
        test_mode=True,
        pipeline=pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='DepthMapMetric', depth_metrics=['rmse', 'abs_rel'], min_depth_eval=0.001, max_depth_eval=10.0)
test_evaluator = val_evaluator
