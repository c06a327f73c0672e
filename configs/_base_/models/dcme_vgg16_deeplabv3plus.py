# The paper's network (Section V): VGG-16 with five convolutions more, DeepLabv3+'s decoder with transposed convolutions. The vectors are
# read from the decoder at stride 1, the classes from the encoder's last output, so that Gs = 16.
# ============================ Usual knobs ============================
num_things_classes = 8
priority = 'data/cityscapes/annotations/class_priority.json'  # made by tools/class_priority.py; prediction doesn't need it
# torchvision's VGG-16: https://download.pytorch.org/models/vgg16-397923af.pth, fetched by hand; None: from scratch
weights = dict(type='Pretrained', checkpoint='pretrained/vgg16-397923af.pth')
# A of Eq. 6            heads.instance.loss_displacement.amplitude, at reference_shape=(512, 1024) if A shall grow with the resolution
# finer classes         backbone.output_stride=8 and neck.in_strides=[4, 8]: Gs = 8, for more memory
# memory                training keeps 1.3 GB of features an image of 512x1024; `--amp` less
# small objects count   codec.reference_side=32.0: weight by area in the loss (ours); codec.background_weight=0.0
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
    backbone=dict(type='VGGDeepLab', depth=16, init_cfg=weights),
    neck=dict(type='DeepLabV3PlusDecoder', in_channels=[256, 512], in_strides=[4, 16]),
    # Decoding is ours, in pixels of 512x1024. Tried on real instances (COCO val) with the true classes at stride 16 and the true vectors
    # disturbed by about 10 % of their length and a pixel:
    # - peak_radius, join_radius: votes for a large object are scattered; narrower windows split it.
    # - max_miss: the background in a block of 16 votes for itself and would join every centre nearby; without it class-agnostic AP was
    #   0.57 instead of 0.73, that of small objects 0.28 instead of 0.72.
    # - min_votes: pixels that vote for themselves sum up to 24 everywhere at this peak_radius, with noise to more: at 32 they made twice
    #   as many false peaks and AP fell to 0.54. The price: objects under 64 pixels are lost, undisturbed AP is 0.94 at stride 1.
    codec=dict(
        type='DCMECodec',
        unit=1.0,
        background_weight=1.0,
        peak_radius=4,
        join_radius=16,
        max_miss=0.5,
        min_votes=64.0,
    ),
    heads=dict(
        instance=dict(type='DCMEHead', in_channels=32, num_convs=0, loss_displacement=dict(type='LogCoshLoss', amplitude=4.0)),
        semantic=dict(
            type='GridClassHead',
            in_channels=512,
            in_index=-1,
            num_convs=0,
            num_things_classes=num_things_classes,
            priority=priority,
        ),
    ),
    test_cfg=dict(foreground_threshold=0.5, label_by='centre', max_per_image=100),
)
