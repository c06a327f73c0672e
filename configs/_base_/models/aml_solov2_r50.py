# The paper's network at depth 50: SOLOv2 with the CSPAM backbone, TWFPN, CSMF mask features and minimum-loss matching.
# ============================ Usual knobs ============================
num_classes = 80
# mmpretrain's cspresnet50, fetched by hand (or timm's, which differs in the training recipe); None: from scratch:
# https://download.openmmlab.com/mmclassification/v0/cspnet/cspresnet50_3rdparty_8xb32_in1k_20220329-dd6dddfb.pth
weights = dict(type='Pretrained', checkpoint='pretrained/cspresnet50_3rdparty_8xb32_in1k_20220329-dd6dddfb.pth')
# activation            backbone.act_cfg=dict(type='LeakyReLU', negative_slope=0.01): what those weights were trained with (paper: Mish);
#                       only then backbone.frozen_stages=1 and norm_eval=True fit, as in mmdet's configs; a step needs less memory so
# statistics            sync_bn=None: for processes on CPUs, where torch has no synchronised batch norm
# attention             backbone.attention_stages=(2, 3): C4 and C5; () none, (0, 1, 2, 3) all
# crowded, small        mask_head.num_grids and scale_ranges, level by level; tools/collisions.py counts what they cost on your data
# Eq. 3 as the loss     mask_head.literal_loss=True
# memory of a test      test_cfg.nms_pre, test_cfg.max_per_img
# =====================================================================
model = dict(
    type='SOLOv2',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32,
    ),
    backbone=dict(type='CSPAMResNet', depth=50, init_cfg=weights),
    neck=dict(type='TWFPN', in_channels=[128, 256, 512, 1024], out_channels=256, num_outs=5, return_top_down=True),
    mask_head=dict(
        type='AMLSOLOV2Head',
        num_classes=num_classes,
        in_channels=256,
        feat_channels=512,
        stacked_convs=4,
        strides=[8, 8, 16, 32, 32],
        scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
        pos_scale=0.2,
        num_grids=[40, 36, 24, 16, 12],
        cls_down_index=0,
        mask_feature_head=dict(type='CSMF', feat_channels=128, out_channels=256, mask_stride=4),
        matching='minimum',
        loss_mask=dict(type='CentroidDiceLoss', loss_weight=3.0),  # lambda
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    ),
    test_cfg=dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian', sigma=2.0, max_per_img=100),
)
sync_bn = 'torch'  # under Mish the weights' batch statistics don't hold; two images a GPU are too few for new ones
