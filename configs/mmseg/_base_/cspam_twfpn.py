# AML-SOLOv2's backbone and neck under mmseg's semantic FPN head.
# ============================ Usual knobs ============================
num_classes = 19
# The keys of timm/cspresnet50.ra_in1k or of mmpretrain's cspresnet50, fetched by hand; None: at random
weights = dict(type='Pretrained', checkpoint='pretrained/cspresnet50.safetensors')
# =====================================================================
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 1024),  # of the crops
    ),
    backbone=dict(type='CSPAMResNet', depth=50, norm_eval=False, init_cfg=weights),
    neck=dict(type='TWFPN', in_channels=[128, 256, 512, 1024], num_outs=4),
    decode_head=dict(
        type='FPNHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=dict(type='SyncBN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
