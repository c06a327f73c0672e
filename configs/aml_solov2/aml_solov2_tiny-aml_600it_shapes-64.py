# The learning table: minimum-loss matching alone.
_base_ = './aml_solov2_tiny-plain_600it_shapes-64.py'
model = dict(mask_head=dict(matching='minimum'))
