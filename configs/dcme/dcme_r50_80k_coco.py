# A ResNet-50 of mmdet, dilated to stride 16 as DeepLabv3+'s, in the place of VGG (ours).
_base_ = './dcme_vgg16_80k_coco.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.ResNet',
        depth=50,
        out_indices=(0, 3),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='pretrained/resnet50-0676ba61.pth'),  # torchvision's
    ),
    neck=dict(in_channels=[256, 2048]),
    heads=dict(semantic=dict(in_channels=2048)),
)
