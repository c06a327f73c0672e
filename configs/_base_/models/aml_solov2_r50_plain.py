_base_ = './aml_solov2_r50.py'

# SOLOv2 as mmdet has it: the paper's baseline, and what its other rows add to. ImageNet weights are torchvision's, fetched by hand:
# https://download.pytorch.org/models/resnet50-0676ba61.pth
sync_bn = None
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='pretrained/resnet50-0676ba61.pth'),
    ),
    neck=dict(_delete_=True, type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=0, num_outs=5),
    mask_head=dict(
        mask_feature_head=dict(
            _delete_=True,
            feat_channels=128,
            start_level=0,
            end_level=3,
            out_channels=256,
            mask_stride=4,
            norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
        ),
        matching='none',
        loss_mask=dict(_delete_=True, type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
    ),
)
