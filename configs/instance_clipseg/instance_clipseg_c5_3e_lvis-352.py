# Table 1, C5: hybrid fusion, PixelShuffle with ICNR, CoordConv in the merge block. The paper's best, and the base of the others.
_base_ = [
    '../_base_/models/instance_clipseg_vitb16.py',
    '../_base_/datasets/lvis_phrases_352.py',
    '../_base_/schedule_3e.py',
]
