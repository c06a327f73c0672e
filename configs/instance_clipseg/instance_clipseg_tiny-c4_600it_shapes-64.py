# The learning table, C4: hybrid fusion, bilinear, CoordConv in the merge block and stages 1 and 2.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(neck=dict(fusion='hybrid', upsample='bilinear', coord_stages=(1, 2), coord_merge=True))
