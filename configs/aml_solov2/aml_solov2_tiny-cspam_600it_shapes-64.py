# The learning table: CSPAM alone.
_base_ = './aml_solov2_tiny-cspam-twfpn-csmf_600it_shapes-64.py'
model = dict(
    neck=dict(_delete_=True, type='FPN', in_channels=_base_.model.neck.in_channels, out_channels=32, num_outs=5, norm_cfg=_base_.norm_cfg),
    mask_head=dict(
        mask_feature_head=dict(
            _delete_=True,
            feat_channels=32,
            start_level=0,
            end_level=3,
            out_channels=32,
            mask_stride=4,
            norm_cfg=_base_.norm_cfg,
        ),
    ),
)
