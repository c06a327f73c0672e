# The learning table: four harmonics.
_base_ = './pe_centroid_tiny_600it_shapes-64.py'
model = dict(codec=dict(harmonics=4))
