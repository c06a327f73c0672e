# Beside Table 1: C2 with ICNR: what separates it from CoordConv, which C3 adds at once.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='none', upsample='pixel_shuffle_icnr', coord_merge=False))
