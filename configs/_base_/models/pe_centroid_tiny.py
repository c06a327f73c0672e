# PE-centroid on a tiny U-Net, codes at stride 2, classes at stride 1. What differs from the paper's settings is what small images need.
_base_ = './unet_tiny.py'
# ============================ Usual knobs ============================
num_things_classes = 5
num_stuff_classes = 3
codec = dict(
    type='PECentroidCodec',
    harmonics=3,  # the paper's fourth turns once in 16 of 128 pixels, which a narrow network learns slowly
    grid=(64, 64),
    relative=True,  # the code of centroid - pixel: a U-Net can't see where in the image it is
    void_weight=0.1,  # with the paper's 1 most pixels are void, and so is the prediction
    reference_side=8.0,
    min_pixels=4,
)
# =====================================================================
edge = dict(d=6.0, w_min=0.05)  # the paper's D is 20 pixels of maps of 240 and more
model = dict(
    codec=codec,
    heads=dict(
        instance=dict(
            type='PECentroidHead',
            in_channels=2 * _base_.width,
            in_index=3,
            channels=64,
            edge=edge,
            loss_tv=dict(type='TotalVariationLoss', loss_weight=0.1),
        ),
        semantic=dict(
            type='DenseSemanticHead',
            in_channels=_base_.width,
            in_index=4,
            channels=32,
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            edge=edge,
            loss_tv=dict(type='TotalVariationLoss', kind='cross_entropy', loss_weight=0.1),
        ),
    ),
    test_cfg=dict(foreground_threshold=0.5, panoptic=True, max_per_image=100),
)
