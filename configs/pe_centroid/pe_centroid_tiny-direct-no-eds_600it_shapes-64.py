# The learning table: direct regression without weights by the distance to a border, the baseline.
_base_ = './pe_centroid_tiny-direct_600it_shapes-64.py'
model = dict(heads=dict(instance=dict(edge=None), semantic=dict(edge=None)))
