# PE-centroid on a tiny U-Net: both heads read the decoder at stride 1. What differs from the paper's settings is what small images need.
_base_ = './unet_tiny.py'
# ============================ Usual knobs ============================
num_things_classes = 5
num_stuff_classes = 3
codec = dict(
    type='PECentroidCodec',
    harmonics=4,
    grid=(64, 64),
    relative=True,  # the code of centroid - pixel: a U-Net can't see where in the image it is
    void_weight=0.1,  # with the paper's 1 most pixels are void, and so is the prediction
    min_pixels=12,
)
# =====================================================================
edge = dict(d=6.0, w_min=0.05)  # the paper's D is 20 pixels of maps of 240 and more
model = dict(
    codec=codec,
    heads=dict(
        instance=dict(type='PECentroidHead', in_channels=_base_.width, in_index=4, channels=32, edge=edge),
        semantic=dict(
            type='DenseSemanticHead',
            in_channels=_base_.width,
            in_index=4,
            channels=32,
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            edge=edge,
        ),
    ),
    test_cfg=dict(foreground_threshold=None, panoptic=True, max_per_image=100),
)
