# A longer schedule, which the paper leaves to future work.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs, convert_to_iter_based=True),
]
