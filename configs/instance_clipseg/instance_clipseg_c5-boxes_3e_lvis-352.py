# C5 without centres: pixels grouped by boxes that agree.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
codec = dict(type='BoxDistanceCodec', grouping='boxes', min_votes=16)
model = dict(codec=codec, heads=dict(heatmap=None))
