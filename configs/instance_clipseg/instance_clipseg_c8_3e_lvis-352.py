# Table 1, C8: hierarchical fusion, PixelShuffle with ICNR, no CoordConv (as the text says; Table 1 lists "Refinement").
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='hierarchical', upsample='pixel_shuffle_icnr', coord_merge=False))
