# ViT-B with depth, stage 2: relative depth from pseudo labels of COCO and NYUv2; the rest as without depth.
_base_ = [
    '../_base_/models/pe_centroid_vitb.py',
    '../_base_/datasets/coco_nyu_336.py',
    '../_base_/schedule_layer_decay.py',
]
load_from = 'work_dirs/pe_centroid_vitb_stage1_46k_coco-280/iter_46200.pth'
model = dict(
    backbone=dict(init_cfg=None),
    heads=dict(depth=dict(type='DepthHead', kind='relative', in_channels=256, num_convs=0)),
)
