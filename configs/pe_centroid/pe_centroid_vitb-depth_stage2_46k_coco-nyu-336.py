# ViT-B with depth, stage 2: relative depth from pseudo labels of COCO and NYUv2.
_base_ = ['./pe_centroid_vitb_stage2_46k_coco-336.py', '../_base_/datasets/coco_nyu_336.py']
model = dict(heads=dict(depth=dict(type='DepthHead', kind='relative', in_channels=256, num_convs=0)))
