# Table 3: lambda = 0.3.
_base_ = './embedding_unet_200e_labelme-512.py'
model = dict(heads=dict(instance=dict(loss_weight=0.3)))
