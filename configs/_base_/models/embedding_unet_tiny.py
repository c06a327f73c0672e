# The paper's network at a quarter of its width, without dropout; for small images on the CPU.
_base_ = './embedding_unet.py'
# ============================ Usual knobs ============================
width = 16  # channels at stride 1; doubles at each of four levels
num_things_classes = 5
codec = dict(type='EmbeddingCodec', dims=8, min_area=12)
# =====================================================================
model = dict(
    backbone=dict(base_channels=width, dropout=0.0, bottleneck_dropout=0.0),
    codec=codec,
    heads=dict(
        instance=dict(in_channels=width, num_convs=1, channels=32, loss_weight=3.0),
        semantic=dict(in_channels=width, num_convs=1, channels=32, boundary_weight=2.0),
    ),
    test_cfg=dict(panoptic=False, max_per_image=100),
)
