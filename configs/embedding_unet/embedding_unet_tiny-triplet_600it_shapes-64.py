# The learning table: triplet loss.
_base_ = './embedding_unet_tiny_600it_shapes-64.py'
model = dict(heads=dict(instance=dict(loss_instance=dict(type='TripletEmbeddingLoss'))))
