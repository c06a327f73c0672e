# Table 2 (AP 40.7; the paper's figure; its "APs" can't be that of small objects, for it exceeds AP). There are no ImageNet weights of
# CSPAM at depth 101 and the paper names none: from scratch.
_base_ = './aml_solov2_r50_40e_coco.py'
model = dict(backbone=dict(depth=101, init_cfg=None))
