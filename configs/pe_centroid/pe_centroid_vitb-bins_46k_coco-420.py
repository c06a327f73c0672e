# Table 4: EDS and cross-entropy over 80 columns and 80 rows (Appendix C), with a bin for void.
_base_ = './pe_centroid_vitb_46k_coco-420.py'
model = dict(
    codec=dict(_delete_=True, type='BinnedCentroidCodec', bins=(80, 80), min_pixels=16),
    heads=dict(
        instance=dict(
            loss_code=dict(type='mmdet.CrossEntropyLoss'),
            loss_tv=dict(type='TotalVariationLoss', kind='cross_entropy'),
            loss_dice=None,
        ),
    ),
)
