# Section 8.3: 5 levels.
_base_ = './embedding_unet_200e_labelme-512.py'
model = dict(data_preprocessor=dict(pad_size_divisor=32), backbone=dict(num_levels=5))
