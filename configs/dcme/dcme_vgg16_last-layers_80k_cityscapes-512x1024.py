# "Fine tuning only the network last layers" (Section V-C): VGG stays as ImageNet made it.
_base_ = './dcme_vgg16_80k_cityscapes-512x1024.py'
model = dict(backbone=dict(frozen_stages=5))
