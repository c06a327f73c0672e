# The learning table, C8: hierarchical fusion, PixelShuffle with ICNR, no CoordConv (as the text says; Table 1 lists "Refinement").
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='hierarchical', upsample='pixel_shuffle_icnr', coord_merge=False))
