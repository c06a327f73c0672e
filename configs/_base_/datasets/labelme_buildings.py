_base_ = './labelme_512.py'

# Frames of one drone flight, one class; the last fifth of the flight is the test set, as neighbours show the same houses.
# First: python tools/labelme.py split data/buildings --out data/buildings/splits --by-frame --ratios 80 0 20
# ============================ Usual knobs ============================
data_root = 'data/buildings/'
scale = (512, 288)  # (width, height) of the network's input; the frames have 1920x1080
batch_size = 2
num_workers = 1
# =====================================================================
image, annotations, _ = _base_.load
load = [image, annotations, dict(type='AlignedResize', scale=scale, keep_ratio=True)]
train_pipeline = [*load, _base_.flip, _base_.instance_map, _base_.pack]
test_pipeline = [*load, _base_.instance_map, _base_.test_pack]
dataset = dict(data_root=data_root, metainfo=dict(classes=('building',)))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(**dataset, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=num_workers, dataset=dict(**dataset, ann_file='splits/test.txt', pipeline=test_pipeline))
test_dataloader = dict(num_workers=num_workers, dataset=dict(**dataset, ann_file='splits/test.txt', pipeline=test_pipeline))
