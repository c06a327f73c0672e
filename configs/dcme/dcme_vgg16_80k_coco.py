# The paper's network on COCO (ours; the paper has Cityscapes alone).
_base_ = [
    '../_base_/models/dcme_vgg16_deeplabv3plus.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedule_80k.py',
]
model = dict(heads=dict(semantic=dict(num_things_classes=80, priority='data/coco/annotations/class_priority.json')))
auto_scale_lr = dict(base_batch_size=16)
