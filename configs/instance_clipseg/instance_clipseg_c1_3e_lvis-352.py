# Table 1, C1: no fusion, bilinear, CoordConv in all stages.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='none', upsample='bilinear', coord_stages=(1, 2, 3, 4), coord_merge=False))
