# DINOv2 ViT-B, its four taps concatenated, and a linear head: the backbone is frozen, as in DINOv2's own linear evaluation.
# ============================ Usual knobs ============================
num_classes = 19
# Meta's file, fetched by hand (timm's and Hugging Face's are read as well); None: at random
weights = dict(type='Pretrained', checkpoint='pretrained/dinov2_vitb14_pretrain.pth')
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
        size=(518, 518),  # of the crops
        test_cfg=dict(size_divisor=14),
    ),
    backbone=dict(type='DINOv2ViT', arch='base', frozen_stages=12, init_cfg=weights),
    decode_head=dict(
        type='FCNHead',
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        channels=3072,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=num_classes,
        norm_cfg=dict(type='SyncBN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
