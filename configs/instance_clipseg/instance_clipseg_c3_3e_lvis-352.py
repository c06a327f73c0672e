# Table 1, C3: no fusion, PixelShuffle with ICNR, CoordConv in stages 1 and 2.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='none', upsample='pixel_shuffle_icnr', coord_stages=(1, 2), coord_merge=False))
