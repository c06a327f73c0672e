# What embedding_unet_buildings.py races with (Section 7.2): mmdet's Mask R-CNN from scratch, of a comparable cost, same data and schedule.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/labelme_buildings.py',
    '../_base_/schedule_buildings.py',
]
width = 64  # of the pyramid and the heads
model = dict(
    data_preprocessor=dict(type='DenseDataPreprocessor'),  # brings the metrics' truth along
    backbone=dict(depth=18, base_channels=32, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=width),
    rpn_head=dict(in_channels=width, feat_channels=width),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(in_channels=width, fc_out_channels=4 * width, num_classes=1),
        mask_roi_extractor=dict(out_channels=width),
        mask_head=dict(in_channels=width, conv_out_channels=width, num_classes=1),
    ),
)
train_dataloader = dict(dataset=dict(pipeline=[*_base_.load, _base_.flip, dict(type='PackDetInputs')]))
