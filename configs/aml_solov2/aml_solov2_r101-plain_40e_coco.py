# Table 2's SOLOv2 (AP 38.8; the paper's figure), with ImageNet weights.
_base_ = './aml_solov2_r50-plain_40e_coco.py'
model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint='pretrained/resnet101-63fe2227.pth')))  # torchvision's
