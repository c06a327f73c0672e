# The learning table: AML alone.
_base_ = './aml_solov2_tiny-plain_600it_shapes-64.py'
model = dict(mask_head=dict(matching='minimum', loss_mask=dict(_delete_=True, type='CentroidDiceLoss', loss_weight=3.0)))
