# DCME on a U-Net small enough for two CPU cores; both heads read the decoder at stride 1, so that shapes of 6 pixels keep a class.
# (The paper's form, a class grid on the encoder at stride 16, is one line: heads.semantic.in_index=0 and its in_channels.)
# ============================ Usual knobs ============================
num_things_classes = 5
width = 16  # channels at stride 1; doubles at each of four down-samplings
# =====================================================================
model = dict(
    type='BottomUpSegmentor',
    data_preprocessor=dict(
        type='DenseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='mmseg.UNet',
        base_channels=width,
        enc_num_convs=(1, 2, 2, 2, 2),
        dec_num_convs=(1, 1, 2, 2),
        upsample_cfg=dict(type='mmseg.InterpConv'),
        norm_cfg=dict(type='BN'),
    ),
    codec=dict(
        type='DCMECodec',
        unit=8.0,
        peak_radius=2,
        join_radius=12,
        min_votes=8.0,
        min_area=12,
        background_weight=0.0,
        reference_side=16.0,
    ),
    heads=dict(
        instance=dict(type='DCMEHead', in_channels=width, in_index=4, channels=32),
        semantic=dict(
            type='GridClassHead',
            in_channels=width,
            in_index=4,
            channels=32,
            num_things_classes=num_things_classes,
            boundary_weight=2.0,
        ),
    ),
    test_cfg=dict(foreground_threshold=0.5, label_by='vote', max_per_image=100),
)
