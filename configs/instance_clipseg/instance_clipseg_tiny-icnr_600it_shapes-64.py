# The learning table, beside Table 1: C2 with ICNR: what separates it from CoordConv, which C3 adds at once.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='none', upsample='pixel_shuffle_icnr', coord_merge=False))
