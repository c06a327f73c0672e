# Section 8.3: 3 levels.
_base_ = './embedding_unet_200e_labelme-512.py'
model = dict(data_preprocessor=dict(pad_size_divisor=8), backbone=dict(num_levels=3))
