# The learning table: lambda = 0.3.
_base_ = './embedding_unet_tiny_600it_shapes-64.py'
model = dict(heads=dict(instance=dict(loss_weight=0.3)))
