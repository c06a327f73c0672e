# CSPAM-50 and TWFPN on ADE20K, mmseg's data and sizes.
_base_ = ['./_base_/cspam_twfpn.py', 'mmseg::_base_/datasets/ade20k.py', './_base_/schedule_80k.py']
model = dict(data_preprocessor=dict(size=(512, 512)), decode_head=dict(num_classes=150))
train_dataloader = dict(batch_size=2)
