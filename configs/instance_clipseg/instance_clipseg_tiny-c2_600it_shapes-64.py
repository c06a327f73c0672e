# The learning table, C2: no fusion, PixelShuffle, no CoordConv.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='none', upsample='pixel_shuffle', coord_merge=False))
