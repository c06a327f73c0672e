# Table 1, the baseline (AP 32.6; the paper's figure): SOLOv2 in the paper's recipe.
_base_ = [
    '../_base_/models/aml_solov2_r50_plain.py',
    '../_base_/datasets/coco_1200x680.py',
    '../_base_/schedule_40e.py',
]
