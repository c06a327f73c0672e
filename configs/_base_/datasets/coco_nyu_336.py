# Stage 2 with depth: COCO's panoptic labels, and pseudo depth for COCO and NYUv2: disparity, larger is nearer, at the size of the images,
# written beforehand by a model such as Depth Anything v2 to PNG (16 bits) or NPY; above 0, which means unknown. NYUv2 in mmseg's layout.
_base_ = './coco_panoptic_336.py'
# ============================ Usual knobs ============================
coco_depth = 'data/coco/depth/train2017/{stem}.png'
nyu_root = 'data/nyu/'
nyu_depth = 'pseudo_depth/train'  # a folder of nyu_root
source_ratio = [3, 1]  # images of COCO and of NYUv2 in a batch (ours)
# =====================================================================
coco = dict(
    **{key: value for key, value in _base_.train_dataloader.dataset.items() if key != 'pipeline'},
    pipeline=[*_base_.load, dict(type='LoadDepthMap', kind='relative', path=coco_depth), *_base_.geometry, *_base_.pack],
)
nyu = dict(
    type='DepthDataset',
    metainfo='CocoPanopticDataset',
    data_root=nyu_root,
    data_prefix=dict(img_path='images/train', depth_map_path=nyu_depth),
    pipeline=[_base_.load_image, dict(type='LoadDepthMap', kind='relative'), *_base_.geometry, dict(type='PackDenseInputs')],
)
train_dataloader = dict(
    batch_sampler=dict(type='MultiSourceBatchSampler', source_ratio=source_ratio),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[coco, nyu]),
)
