"""Models of the configs at toy width, without weights, and small samples for them."""

import copy

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmext_instseg.ops import mask_boxes
from mmext_instseg.structures import InstanceMap

SHAPE = (64, 96)

TOY_VITS = {
    'DINOv2ViT': dict(arch=dict(embed_dim=16, depth=4, num_heads=2), img_size=28),
    'mmpretrain.VisionTransformer': dict(
        arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32), img_size=28, out_indices=(0, 1, 2, 3)
    ),
}


def without_weights(model: ConfigDict) -> ConfigDict:
    """The model at random: no file is read for it."""
    model = copy.deepcopy(model)
    for key in ('init_cfg', 'pretrained', 'pretrained_cfg_overlay'):
        model.backbone.pop(key, None)
    return model


def as_toy(model: ConfigDict) -> ConfigDict:
    """Without weights; a ViT of four narrow blocks; a SOLOv2 as narrow as its normalisation allows, with few cells."""
    model = without_weights(model)
    if model.type == 'InstanceCLIPSeg':
        side = model.backbone.arch.patch_size if isinstance(model.backbone.arch, dict) else 16
        model.backbone.update(arch=dict(width=16, layers=10, patch_size=side, image_size=64, head_width=8), frozen=False, weights=None)
        model.text_encoder.update(arch=dict(embed_dim=8, width=16, heads=2, layers=1), frozen=False, weights=None)
        model.neck.update(in_channels=[16] * 3, condition_channels=8)
    if model.backbone.type in TOY_VITS:
        model.backbone.update(TOY_VITS[model.backbone.type])
        model.neck.update(in_channels=[16] * 4, channels=16)
        for head in model.heads.values():
            head.in_channels = 16
    if model.type == 'SOLOv2':
        factor = model.backbone.get('base_channels', 64) // 8
        model.backbone.update(base_channels=8)
        model.neck.update(in_channels=[channels // factor for channels in model.neck.in_channels], out_channels=32)
        model.mask_head.update(
            in_channels=32, feat_channels=32, stacked_convs=1, num_grids=[grid // 3 for grid in model.mask_head.num_grids]
        )
        model.mask_head.mask_feature_head.update(feat_channels=32, out_channels=32)
    return model


def samples(num: int, num_things: int) -> list[DetDataSample]:
    made = []
    for k in range(num):
        sample = DetDataSample(
            metainfo=dict(img_shape=SHAPE, ori_shape=(80, 120), batch_input_shape=SHAPE, img_id=k, scale_factor=(0.8, 0.8), text='a dog')
        )
        ids = torch.zeros(SHAPE, dtype=torch.int32)
        ids[8:24, 8:40], ids[30:60, 50:90] = 1, 2
        sample.gt_instance_map = InstanceMap.from_ids(ids * (k == 0), torch.tensor([0, num_things - 1]))
        masks = ids == torch.tensor([1, 2])[: 2 * (k == 0), None, None]
        sample.gt_instances = InstanceData(
            bboxes=mask_boxes(masks),
            labels=torch.tensor([0, num_things - 1])[: len(masks)],
            masks=BitmapMasks(masks.numpy().astype('uint8'), *SHAPE),
        )
        made.append(sample)
    return made
