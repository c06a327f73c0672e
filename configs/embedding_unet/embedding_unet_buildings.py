# Buildings in drone frames, on the CPU: small data of one flight, tested on its last fifth.
_base_ = [
    '../_base_/models/embedding_unet_tiny.py',
    '../_base_/datasets/labelme_buildings.py',
    '../_base_/schedule_buildings.py',
]
model = dict(
    codec=dict(min_area=48),
    heads=dict(semantic=dict(num_things_classes=1)),
    test_cfg=dict(semantic=True),
)
