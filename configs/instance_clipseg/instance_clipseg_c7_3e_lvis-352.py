# Table 1, C7: hierarchical fusion, bilinear, CoordConv in stages 1 and 2.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='hierarchical', upsample='bilinear', coord_stages=(1, 2), coord_merge=False))
