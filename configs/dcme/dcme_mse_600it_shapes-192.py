# The unclipped loss, with the same slope at 0 (A / 4 = 1) and the same mean.
_base_ = './dcme_clip_600it_shapes-192.py'
model = dict(heads=dict(instance=dict(loss_displacement=dict(_delete_=True, type='EuclideanLoss'))))
