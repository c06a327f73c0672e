# Table 4: EDS and direct regression of the centroid, in the RGB code of Appendix C.
_base_ = './pe_centroid_vitb_46k_coco-420.py'
model = dict(
    codec=dict(_delete_=True, type='DirectCentroidCodec', grid=(80, 80), min_pixels=16),
    heads=dict(instance=dict(loss_code=dict(type='PositionalEmbeddingLoss', parts=1), loss_dice=None)),
)
