# Table 4, first row: direct regression without EDS, the baseline.
_base_ = './pe_centroid_vitb-direct_46k_coco-420.py'
model = dict(heads=dict(instance=dict(edge=None), semantic=dict(edge=None)))
