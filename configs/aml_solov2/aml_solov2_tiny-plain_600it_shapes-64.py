# The learning table: SOLOv2 as mmdet has it.
_base_ = './aml_solov2_tiny-cspam_600it_shapes-64.py'
model = dict(backbone=dict(_delete_=True, type='ResNet', depth=18, base_channels=_base_.width, norm_eval=False))
