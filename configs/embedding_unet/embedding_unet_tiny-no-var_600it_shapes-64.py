# The learning table: without L_var.
_base_ = './embedding_unet_tiny_600it_shapes-64.py'
model = dict(heads=dict(instance=dict(loss_instance=dict(type='DiscriminativeLoss', weight_var=0.0))))
