# Stage 3 with depth: COCO's panoptic labels and NYUv2's depth in metres, in mmseg's layout.
_base_ = './coco_panoptic_1008.py'
# ============================ Usual knobs ============================
nyu_root = 'data/nyu/'
source_ratio = [1, 1]  # images of COCO and of NYUv2 in a batch (ours)
# =====================================================================
nyu = dict(
    type='DepthDataset',
    metainfo='CocoPanopticDataset',
    data_root=nyu_root,
    data_prefix=dict(img_path='images/train', depth_map_path='annotations/train'),
    pipeline=[
        _base_.load_image,
        dict(type='LoadDepthMap', kind='metric', scale=0.001),
        *_base_.geometry,
        dict(type='PackDenseInputs'),
    ],
)
train_dataloader = dict(
    batch_sampler=dict(type='MultiSourceBatchSampler', source_ratio=source_ratio),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[_base_.train_dataloader.dataset, nyu]),
)
