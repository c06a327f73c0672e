# Table 1, CSPAM alone.
_base_ = './aml_solov2_r50-plain_40e_coco.py'
model = dict(
    backbone=dict(_delete_=True, type='CSPAMResNet', depth=50, init_cfg=_base_.weights),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
sync_bn = 'torch'
