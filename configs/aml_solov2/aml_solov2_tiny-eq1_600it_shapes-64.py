# The learning table: all three, trained on the paper's mask loss.
_base_ = './aml_solov2_tiny_600it_shapes-64.py'
model = dict(mask_head=dict(loss_mask=dict(_delete_=True, type='CentroidDiceLoss', loss_weight=3.0)))
