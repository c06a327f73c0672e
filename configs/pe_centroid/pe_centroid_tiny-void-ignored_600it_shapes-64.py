# The learning table: pixels without an object cost nothing, the baseline of Figures 4 and 6.
_base_ = './pe_centroid_tiny-no-eds_600it_shapes-64.py'
model = dict(codec=dict(void='ignore'))
