# The table of collisions: the same without matching.
_base_ = './aml_solov2_tiny_600it_shapes-nested-64.py'
model = dict(mask_head=dict(matching='none'))
