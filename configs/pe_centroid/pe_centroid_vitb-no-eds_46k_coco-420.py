# Table 4: positional codes with L = 4, without EDS.
_base_ = './pe_centroid_vitb_46k_coco-420.py'
model = dict(heads=dict(instance=dict(edge=None), semantic=dict(edge=None)))
