# Table 5: centre loss.
_base_ = './embedding_unet_200e_labelme-512.py'
model = dict(heads=dict(instance=dict(loss_instance=dict(type='CenterEmbeddingLoss'))))
