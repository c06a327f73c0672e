# The paper's other network (Section V: 7.5 AP against 11.5), in batches of 3 as there. Its encoder ends at stride 32, so Gs = 32.
_base_ = './dcme_vgg16_80k_cityscapes-512x1024.py'
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        _delete_=True,
        type='SegNet',
        depth=16,
        init_cfg=dict(type='Pretrained', checkpoint='pretrained/vgg16-397923af.pth'),
    ),
    neck=None,
    heads=dict(instance=dict(in_channels=64)),
)
train_dataloader = dict(batch_size=3)
auto_scale_lr = dict(base_batch_size=3)
