# The paper's recipe (Section 7.1).
_base_ = [
    '../_base_/models/embedding_unet.py',
    '../_base_/datasets/labelme_512.py',
    '../_base_/schedule_200e.py',
]
model = dict(test_cfg=dict(semantic=True))
