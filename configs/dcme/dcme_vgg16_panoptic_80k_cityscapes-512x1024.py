# The class grid learns stuff as well, so that Cityscapes' PQ can be had (ours; the paper has instances alone). Blocks of 16 are coarse for
# stuff: backbone.output_stride=8 and neck.in_strides=[4, 8] halve them.
_base_ = [
    '../_base_/models/dcme_vgg16_deeplabv3plus.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedule_80k.py',
]
model = dict(heads=dict(semantic=dict(num_stuff_classes=11)), test_cfg=dict(panoptic=True))
