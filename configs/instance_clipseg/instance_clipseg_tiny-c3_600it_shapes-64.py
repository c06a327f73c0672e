# The learning table, C3: no fusion, PixelShuffle with ICNR, CoordConv in stages 1 and 2.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='none', upsample='pixel_shuffle_icnr', coord_stages=(1, 2), coord_merge=False))
