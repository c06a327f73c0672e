# The learning table, C7: hierarchical fusion, bilinear, CoordConv in stages 1 and 2.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='hierarchical', upsample='bilinear', coord_stages=(1, 2), coord_merge=False))
