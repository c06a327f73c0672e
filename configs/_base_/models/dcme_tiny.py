# DCME on a tiny U-Net; both heads read the decoder at stride 1, so that shapes of 6 pixels keep a class.
# (The paper's form, a class grid on the encoder at stride 16, is one line: heads.semantic.in_index=0 and its in_channels.)
_base_ = './unet_tiny.py'
# ============================ Usual knobs ============================
num_things_classes = 5
# =====================================================================
model = dict(
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
        instance=dict(type='DCMEHead', in_channels=_base_.width, in_index=4, channels=32),
        semantic=dict(
            type='GridClassHead',
            in_channels=_base_.width,
            in_index=4,
            channels=32,
            num_things_classes=num_things_classes,
            boundary_weight=2.0,
        ),
    ),
    test_cfg=dict(foreground_threshold=0.5, label_by='vote', max_per_image=100),
)
