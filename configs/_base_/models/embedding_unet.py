# The paper's network (Section 4): four levels of 64 to 512 channels, one 1x1 convolution a task.
# ============================ Usual knobs ============================
num_things_classes = 5
class_weight = None  # of the classes, then background, by tools/labelme.py weights
codec = dict(type='EmbeddingCodec', dims=32, min_area=64)
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
    backbone=dict(type='EmbeddingUNet', num_levels=4),
    codec=codec,
    heads=dict(
        instance=dict(type='EmbeddingHead', in_channels=64, in_index=-1, loss_instance=dict(type='DiscriminativeLoss'), loss_weight=0.5),
        semantic=dict(
            type='GridClassHead',
            in_channels=64,
            in_index=-1,
            num_convs=0,
            num_things_classes=num_things_classes,
            loss_cls=dict(type='mmdet.CrossEntropyLoss', class_weight=class_weight),
        ),
    ),
    test_cfg=dict(foreground_threshold=0.5, panoptic=True, max_per_image=300),
)
