# Table 4, last but one row: EDS and positional codes with L = 4; one stage, 200 epochs of 420 pixels (batch 512 is ours).
_base_ = [
    '../_base_/models/pe_centroid_vitb.py',
    '../_base_/datasets/coco_panoptic_420.py',
    '../_base_/schedule_layer_decay.py',
]
