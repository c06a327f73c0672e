# Table 4: EDS and positional codes with L = 3.
_base_ = './pe_centroid_vitb_46k_coco-420.py'
model = dict(codec=dict(harmonics=3))
