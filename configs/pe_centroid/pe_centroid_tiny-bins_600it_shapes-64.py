# The learning table: cross-entropy over 64 columns and 64 rows, with a bin for void.
_base_ = './pe_centroid_tiny_600it_shapes-64.py'
model = dict(
    codec=dict(_delete_=True, type='BinnedCentroidCodec', bins=(64, 64), void_weight=0.1, min_pixels=4),
    heads=dict(
        instance=dict(
            loss_code=dict(type='mmdet.CrossEntropyLoss'),
            loss_tv=dict(type='TotalVariationLoss', kind='cross_entropy', loss_weight=0.1),
            loss_dice=None,
        ),
    ),
)
