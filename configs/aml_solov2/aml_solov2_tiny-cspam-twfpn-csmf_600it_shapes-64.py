# The learning table: CSPAM and TWFPN + CSMF.
_base_ = './aml_solov2_tiny_600it_shapes-64.py'
model = dict(mask_head=dict(matching='none', loss_mask=dict(_delete_=True, type='DiceLoss', use_sigmoid=True, loss_weight=3.0)))
