# The learning table: C5 without centres, pixels grouped by boxes that agree.
_base_ = './instance_clipseg_tiny-c5_600it_shapes-64.py'
model = dict(codec=dict(grouping='boxes', min_votes=4), heads=dict(heatmap=None))
