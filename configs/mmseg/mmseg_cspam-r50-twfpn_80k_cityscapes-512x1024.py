# CSPAM-50 and TWFPN on Cityscapes, mmseg's data and sizes.
_base_ = ['./_base_/cspam_twfpn.py', 'mmseg::_base_/datasets/cityscapes.py', './_base_/schedule_80k.py']
