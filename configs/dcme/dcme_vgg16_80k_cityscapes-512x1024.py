# The paper's setting (Section V): Cityscapes at 512x1024, A = 4, batches of 6, all layers fine-tuned.
_base_ = [
    '../_base_/models/dcme_vgg16_deeplabv3plus.py',
    '../_base_/datasets/cityscapes_instance.py',
    '../_base_/schedule_80k.py',
]
