# A CLIP of 1 M parameters beside its table of words, trained with the decoder from scratch, for 128x128 images on the CPU.
_base_ = './instance_clipseg_vitb16.py'
# ============================ Usual knobs ============================
width = 128  # of the image tower
embed_dim = 64  # of the phrases
codec = dict(sigma=3.0, peak_radius=2)
# =====================================================================
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, width=width, layers=6, patch_size=8, image_size=128, head_width=32),
        taps=(1, 3, 5),
        frozen=False,
        weights=None,
    ),
    text_encoder=dict(arch=dict(_delete_=True, embed_dim=embed_dim, width=embed_dim, heads=2, layers=2), frozen=False, weights=None),
    neck=dict(in_channels=(width, width, width), condition_channels=embed_dim, feedforward_channels=256, stage_channels=(64, 32, 32)),
    codec=codec,
)
