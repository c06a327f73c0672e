_base_ = ['mmdet::_base_/schedules/schedule_1x.py', './runtime.py']

# AML-SOLOv2's (Section 3.1): SGD, batches of 16 (8 GPUs x 2), 40 epochs, x0.1 "at the 10th time". Warm-up and clipping are SOLOv2's.
# ============================ Usual knobs ============================
max_epochs = 40
base_lr = 0.01
milestones = [10]  # epochs
# =====================================================================
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr), clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=milestones, gamma=0.1),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
