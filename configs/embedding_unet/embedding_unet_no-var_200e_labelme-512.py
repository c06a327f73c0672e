# Table 3: without L_var.
_base_ = './embedding_unet_200e_labelme-512.py'
model = dict(heads=dict(instance=dict(loss_instance=dict(type='DiscriminativeLoss', weight_var=0.0))))
