# A CLIP of 0.2 M parameters beside its table of words, trained with the decoder from scratch, for 128x128 images on the CPU. Maps at
# half the image's size. A wider tower (128 channels, six blocks) had learned no phrase after 950 iterations.
_base_ = './instance_clipseg_vitb16.py'
# ============================ Usual knobs ============================
width = 64  # of the image tower
embed_dim = 64  # of the phrases
codec = dict(sigma=2.0, peak_radius=2)
# =====================================================================
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, width=width, layers=4, patch_size=8, image_size=128, head_width=32),
        taps=(1, 2, 3),
        frozen=False,
        weights=None,
    ),
    text_encoder=dict(arch=dict(_delete_=True, embed_dim=embed_dim, width=embed_dim, heads=2, layers=2), frozen=False, weights=None),
    neck=dict(in_channels=(width, width, width), condition_channels=embed_dim, feedforward_channels=128, stage_channels=(32, 16)),
    codec=codec,
    heads=dict(
        # Few pixels are meant: a mask that begins at a half needs hundreds of iterations to say so
        mask=dict(in_channels=16, init_cfg=dict(type='Normal', layer='Conv2d', std=0.01, bias_prob=0.1)),
        heatmap=dict(in_channels=16, loss_heatmap=dict(type='mmdet.MSELoss', loss_weight=20.0)),
        distance=dict(in_channels=16),
    ),
)
