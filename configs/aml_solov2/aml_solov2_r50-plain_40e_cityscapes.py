# Table 3's SOLOv2 (AP 28.3; the paper's figure).
_base_ = [
    '../_base_/models/aml_solov2_r50_plain.py',
    '../_base_/datasets/cityscapes_5classes_1200x680.py',
    '../_base_/schedule_40e.py',
]
model = dict(mask_head=dict(num_classes=5))
