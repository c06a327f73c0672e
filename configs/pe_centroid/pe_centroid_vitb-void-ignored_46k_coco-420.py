# The baseline of Figures 4 and 6: pixels without an instance cost nothing, so that instances swell; no EDS.
_base_ = './pe_centroid_vitb-no-eds_46k_coco-420.py'
model = dict(codec=dict(void='ignore'))
