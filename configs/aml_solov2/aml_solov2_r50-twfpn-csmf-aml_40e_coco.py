# Table 1, TWFPN + CSMF and AML.
_base_ = './aml_solov2_r50-twfpn-csmf_40e_coco.py'
model = dict(mask_head=dict(matching='minimum', loss_mask=dict(_delete_=True, type='CentroidDiceLoss', loss_weight=3.0)))
