# ViT-L, stage 3: 1008 pixels; batches of 16, 50 epochs. Starts from stage 2.
_base_ = [
    '../_base_/models/pe_centroid_vitl.py',
    '../_base_/datasets/coco_panoptic_1008.py',
    '../_base_/schedule_layer_decay_370k.py',
]
load_from = 'work_dirs/pe_centroid_vitl_stage2_46k_coco-336/iter_46200.pth'
model = dict(backbone=dict(init_cfg=None))
