# mmpretrain's DINOv2 in the place of ours, with mmpretrain's weights, fetched by hand:
# https://download.openmmlab.com/mmpretrain/v1.0/dinov2/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth
_base_ = './pe_centroid_vitb_46k_coco-420.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=518,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
        out_indices=(2, 5, 8, 11),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='pretrained/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth',
            prefix='backbone.',
        ),
    ),
)
