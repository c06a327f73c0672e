# PE-centroid with ViT-B: DINOv2, fine-tuned, a shallow decoder for all tasks and one projection for each; output 8 / 14 of the input.
# ============================ Usual knobs ============================
num_things_classes = 80
num_stuff_classes = 53
# Meta's file, fetched by hand (timm's and Hugging Face's are read as well); None: at random
# https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth
weights = dict(type='Pretrained', checkpoint='pretrained/dinov2_vitb14_pretrain.pth')
width = 256  # of the decoder; the paper is silent
# memory                backbone.with_cp=True
# registers             backbone.num_registers=4, with those weights
# small objects         heads.instance.edge.d smaller; codec.grid finer
# pixels without label  codec.void='ignore' leaves them out of the loss; codec.void_weight weighs them
# fewer false objects   test_cfg.score_threshold, codec.min_pixels, test_cfg.min_stuff_area
# =====================================================================
model = dict(
    type='BottomUpSegmentor',
    data_preprocessor=dict(
        type='DenseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=14,
    ),
    backbone=dict(type='DINOv2ViT', arch='base', init_cfg=weights),
    neck=dict(type='ShallowDecoder', in_channels=[768, 768, 768, 768], channels=width),
    codec=dict(type='PECentroidCodec', harmonics=4, grid=(80, 80), min_pixels=16),
    heads=dict(
        instance=dict(type='PECentroidHead', in_channels=width, num_convs=0, edge=dict(d=20.0, w_min=0.0)),
        semantic=dict(
            type='DenseSemanticHead',
            in_channels=width,
            num_convs=0,
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            edge=dict(d=20.0, w_min=0.0),
        ),
    ),
    test_cfg=dict(foreground_threshold=None, panoptic=True),
)
