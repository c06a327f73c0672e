# The paper's network and recipe on COCO: Table 1, all three designs (AP 35.6, of small objects 14.8; the paper's figures).
# Its other rows are named by what they add to SOLOv2, `plain`.
_base_ = [
    '../_base_/models/aml_solov2_r50.py',
    '../_base_/datasets/coco_1200x680.py',
    '../_base_/schedule_40e.py',
]
