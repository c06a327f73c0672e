# PE-centroid with ViT-L.
_base_ = './pe_centroid_vitb.py'
# ============================ Usual knobs ============================
# https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth
weights = dict(type='Pretrained', checkpoint='pretrained/dinov2_vitl14_pretrain.pth')
# =====================================================================
model = dict(backbone=dict(arch='large', init_cfg=weights), neck=dict(in_channels=[1024, 1024, 1024, 1024]))
