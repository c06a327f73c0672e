# Table 3: without L_dist.
_base_ = './embedding_unet_200e_labelme-512.py'
model = dict(heads=dict(instance=dict(loss_instance=dict(type='DiscriminativeLoss', weight_dist=0.0))))
