# Table 1, TWFPN + CSMF alone.
_base_ = './aml_solov2_r50-plain_40e_coco.py'
model = dict(
    neck=dict(_delete_=True, type='TWFPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5, return_top_down=True),
    mask_head=dict(mask_feature_head=dict(_delete_=True, type='CSMF', feat_channels=128, out_channels=256, mask_stride=4)),
)
