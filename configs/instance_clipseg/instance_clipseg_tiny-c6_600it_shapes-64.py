# The learning table, C6: hybrid fusion, PixelShuffle with ICNR, CoordConv in the refinement blocks.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='hybrid', upsample='pixel_shuffle_icnr', coord_stages=(1, 2), coord_merge=False))
