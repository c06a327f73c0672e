# The paper's network, small enough for two CPU cores and from scratch: CSPAM-18 of an eighth of its width, narrow necks and heads; the
# neck normalised, as mmdet's recipes from scratch do.
_base_ = './aml_solov2_r50.py'
# ============================ Usual knobs ============================
num_classes = 5
width = 8  # channels of the backbone's C2; doubles at each level
channels = 32  # of the pyramid and the mask features
norm_cfg = dict(type='GN', num_groups=8)
# =====================================================================
sync_bn = None
model = dict(
    backbone=dict(depth=18, base_channels=width, init_cfg=None),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=channels, norm_cfg=norm_cfg),
    mask_head=dict(
        num_classes=num_classes,
        in_channels=channels,
        feat_channels=2 * channels,
        stacked_convs=2,
        strides=[4, 8, 16, 32, 64],
        scale_ranges=((1, 48), (32, 80), (56, 128), (96, 256), (160, 512)),
        num_grids=[36, 24, 16, 12, 8],
        norm_cfg=norm_cfg,
        # mmdet's Dice: from scratch, Eq. 1's, whose denominator isn't squared, takes several times as many iterations
        loss_mask=dict(_delete_=True, type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
        mask_feature_head=dict(feat_channels=channels, out_channels=channels, norm_cfg=norm_cfg),
    ),
)
