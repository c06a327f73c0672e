# The learning table: direct regression of the centroid, in the RGB code of Appendix C.
_base_ = './pe_centroid_tiny_600it_shapes-64.py'
model = dict(
    codec=dict(_delete_=True, type='DirectCentroidCodec', grid=(64, 64), void_weight=0.1, min_pixels=4),
    heads=dict(instance=dict(loss_code=dict(type='PositionalEmbeddingLoss', parts=1), loss_dice=None)),
)
