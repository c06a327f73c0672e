# MobileNetV3-Large of timm in the place of VGG: 3 M parameters for 27 M (ours), from scratch. For ImageNet weights from a local file:
# backbone.pretrained=True backbone.pretrained_cfg_overlay.file=pretrained/mobilenetv3_large_100_ra-f55367f5.pth (read in testing too).
_base_ = './dcme_vgg16_80k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='mobilenetv3_large_100',
        features_only=True,
        out_indices=(1, 4),
        output_stride=16,
    ),
    neck=dict(in_channels=[24, 960]),
    heads=dict(semantic=dict(in_channels=960)),
)
