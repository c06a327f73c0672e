# The learning table: CSPAM and TWFPN + CSMF.
_base_ = './aml_solov2_tiny_600it_shapes-64.py'
model = dict(mask_head=dict(matching='none'))
