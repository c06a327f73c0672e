# The learning table, C1: no fusion, bilinear, CoordConv in all stages.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='none', upsample='bilinear', coord_stages=(1, 2), coord_merge=False))
