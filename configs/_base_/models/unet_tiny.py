# A U-Net small enough for two CPU cores, from scratch. Features for `in_index`: 0 at stride 16 to 4 at stride 1, the latter `width` wide.
# ============================ Usual knobs ============================
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
)
