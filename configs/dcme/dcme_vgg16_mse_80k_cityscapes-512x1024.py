# The paper's baseline (Eq. 4): Caffe's Euclidean loss, unclipped. Its high signal "was compensated by a small learning rate"
# (Section IV-A); here by a weight, 1 / (2 * 512 * 1024), that brings it to the scale of the clipped loss (ours).
_base_ = './dcme_vgg16_80k_cityscapes-512x1024.py'
model = dict(heads=dict(instance=dict(loss_displacement=dict(_delete_=True, type='EuclideanLoss', reduction='images', loss_weight=2**-20))))
