# Table 3 (AP 31.5; the paper's figure): five classes of Cityscapes.
_base_ = [
    '../_base_/models/aml_solov2_r50.py',
    '../_base_/datasets/cityscapes_5classes_1200x680.py',
    '../_base_/schedule_40e.py',
]
model = dict(mask_head=dict(num_classes=5))
