# ViT-B with depth, stage 3: depth in metres from NYUv2. Its RMSE: pe_centroid_vitb-depth_stage3_test-nyu.
_base_ = [
    '../_base_/models/pe_centroid_vitb.py',
    '../_base_/datasets/coco_nyu_1008.py',
    '../_base_/schedule_layer_decay_370k.py',
]
load_from = 'work_dirs/pe_centroid_vitb-depth_stage2_46k_coco-nyu-336/iter_46200.pth'
model = dict(
    backbone=dict(init_cfg=None),
    heads=dict(depth=dict(type='DepthHead', kind='metric', max_depth=10.0, in_channels=256, num_convs=0)),
)
