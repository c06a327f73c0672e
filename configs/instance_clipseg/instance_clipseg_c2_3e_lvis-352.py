# Table 1, C2: no fusion, PixelShuffle, no CoordConv.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='none', upsample='pixel_shuffle', coord_merge=False))
