# Table 1, C6: hybrid fusion, PixelShuffle with ICNR, CoordConv in the refinement blocks.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='hybrid', upsample='pixel_shuffle_icnr', coord_stages=(1, 2, 3, 4), coord_merge=False))
