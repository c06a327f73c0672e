"""The configs of the race, as narrow as group norm lets them be."""

from mmengine.config import ConfigDict

from mmext_instseg.engine.benchmark.detectors import read_model

CHANNELS = 32


def read_small(path: str) -> ConfigDict:
    """In place of `read_model`: the config of a SOLOv2 or a Mask R-CNN with small layers and grids."""
    model = read_model(path)
    csp = model.backbone.type == 'CSPAMResNet'
    model.backbone.base_channels = 8 if csp else 4
    model.neck.update(in_channels=[16, 32, 64, 128], out_channels=CHANNELS)
    if model.type == 'SOLOv2':
        model.mask_head.update(num_classes=3, in_channels=CHANNELS, feat_channels=CHANNELS, stacked_convs=1, num_grids=[10, 8, 6, 4, 2])
        model.mask_head.mask_feature_head.update(feat_channels=CHANNELS, out_channels=CHANNELS)
    else:
        model.rpn_head.update(in_channels=CHANNELS, feat_channels=CHANNELS)
        model.roi_head.bbox_roi_extractor.out_channels = model.roi_head.mask_roi_extractor.out_channels = CHANNELS
        model.roi_head.bbox_head.update(in_channels=CHANNELS, fc_out_channels=CHANNELS, num_classes=3)
        model.roi_head.mask_head.update(in_channels=CHANNELS, conv_out_channels=CHANNELS, num_convs=1, num_classes=3)
    return model
