# Table 1, C4: hybrid fusion, bilinear, CoordConv in the merge block and stages 1 and 2.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
model = dict(neck=dict(fusion='hybrid', upsample='bilinear', coord_stages=(1, 2), coord_merge=True))
