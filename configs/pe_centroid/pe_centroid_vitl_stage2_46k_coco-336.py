# ViT-L, stage 2: semantics and instances; batches of 512, 200 epochs. Starts from stage 1.
_base_ = [
    '../_base_/models/pe_centroid_vitl.py',
    '../_base_/datasets/coco_panoptic_336.py',
    '../_base_/schedule_layer_decay.py',
]
load_from = 'work_dirs/pe_centroid_vitl_stage1_46k_coco-280/iter_46200.pth'
model = dict(backbone=dict(init_cfg=None))
