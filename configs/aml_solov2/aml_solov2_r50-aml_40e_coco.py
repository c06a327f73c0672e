# Table 1, AML alone.
_base_ = './aml_solov2_r50-plain_40e_coco.py'
model = dict(mask_head=dict(matching='minimum', loss_mask=dict(_delete_=True, type='CentroidDiceLoss', loss_weight=3.0)))
