# The paper's network: frozen CLIP ViT-B/16, decoder C5 (its best), centres. Weights: OpenAI's ViT-B-16.pt or the same of open_clip or
# Hugging Face, as a local file.
# ============================ Usual knobs ============================
clip_weights = 'checkpoints/ViT-B-16.pt'
codec = dict(type='BoxDistanceCodec')
# =====================================================================
model = dict(
    type='InstanceCLIPSeg',
    data_preprocessor=dict(
        type='DenseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],  # ImageNet's, as CLIPSeg
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(type='CLIPViT', arch='ViT-B-16', taps=(3, 7, 9), out_type='raw', weights=clip_weights),
    text_encoder=dict(type='OpenCLIPTextEncoder', arch='ViT-B-16', weights=clip_weights),
    neck=dict(type='DistanceMapDecoder', fusion='hybrid', upsample='pixel_shuffle_icnr', coord_merge=True),
    codec=codec,
    heads=dict(
        mask=dict(type='BinaryMaskHead', in_channels=32, in_index=0, num_convs=0),
        heatmap=dict(type='CenterHeatmapHead', in_channels=32, in_index=0, num_convs=0),
        distance=dict(type='DistanceMapHead', in_channels=32, in_index=0, num_convs=0),
    ),
    test_cfg=dict(mask_threshold=0.5, max_per_phrase=200, chunk=16),
)
