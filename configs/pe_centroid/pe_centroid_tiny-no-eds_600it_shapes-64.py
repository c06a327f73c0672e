# The learning table: no weights by the distance to a border.
_base_ = './pe_centroid_tiny_600it_shapes-64.py'
model = dict(heads=dict(instance=dict(edge=None), semantic=dict(edge=None)))
