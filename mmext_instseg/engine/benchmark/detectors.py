"""What is timed of a detector: its network, its post-processing and its training step, all apart."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from .made_up import make_batch, rcnn_outputs, solo_outputs


def read_config(path: str) -> Config:
    """A config file, or an installed package's: 'mmdet::solov2/solov2_r50_fpn_1x_coco.py'.

    Raises:
        OSError, ValueError: no such config, or it has no model.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'pkg_resources', UserWarning)  # mmengine finds packages by it
        try:
            config = get_config(path) if '::' in path else Config.fromfile(path)
        except (AssertionError, ValueError) as error:
            raise ValueError(f'{path}: {"give the path of the file; " if "::" in path else ""}{error}') from None
    if 'model' not in config:
        raise ValueError(f'{path} has no model; give the config of a detector')
    return config


def read_model(path: str) -> ConfigDict:
    """The model of `read_config`."""
    return read_config(path).model


def build_model(config: ConfigDict) -> BaseModel:
    """The model as it is constructed: no weights are read, whatever the config says."""
    config = copy.deepcopy(config)
    config.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(config)


@dataclass
class Setting:
    """What all detectors of a race work on.

    Attributes:
        size: (H, W) of the images, in pixels; padded as the model's preprocessor does.
        instances: on each image, predicted as well as annotated.
        batch: images of a training step; otherwise one is looked at.
        device: of everything.
        amp: run networks and losses under torch's autocast.
    """

    size: tuple[int, int]
    instances: int
    batch: int
    device: torch.device
    amp: bool = False


class Detector:
    """mmdet's SOLOv2, or a child of it.

    Its weights are random, so that the network finds nothing of use: the post-processing gets `solo_outputs` in place of what the network
    gives, the same whatever the network. Batch norm has the statistics of the first image. The optimiser is SGD with momentum and
    weight decay; its learning rate is 0, so that every step does the same work.
    """

    def __init__(self, name: str, config: ConfigDict, setting: Setting) -> None:
        self.name, self.setting, self.amp = name, setting, False
        torch.manual_seed(0)
        self.model = build_model(config)
        self.model.init_weights()
        self.model.to(setting.device)
        batch = make_batch(setting.size, setting.instances, max(setting.batch, 1), self.num_classes())
        self.batch = self.model.data_preprocessor(copy.deepcopy(batch), training=True)
        self.image, self.sample = self.batch['inputs'][:1], self.batch['data_samples'][:1]
        self.meta = self.sample[0].metainfo
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0, momentum=0.9, weight_decay=1e-4)
        self.scaler = torch.amp.GradScaler(setting.device.type, enabled=setting.amp and setting.device.type == 'cuda')
        settle_norms(self.model, self.image)
        self.outputs = self.make_outputs()

    @property
    def parts(self) -> dict[str, Callable[[], Any]]:
        """What is timed, by name."""
        return {'network': self.network, 'post-processing': self.postprocess, 'train step': self.train_step}

    @torch.no_grad()
    def network(self) -> Any:
        """Image -> outputs of the head, one image."""
        self._mode(training=False)
        with self._autocast():
            return self.predict_raw()

    @torch.no_grad()
    def postprocess(self) -> InstanceData:
        """Outputs -> instances at the size of the original image, one image."""
        self._mode(training=False)
        with self._autocast():
            return self.results()

    def losses(self) -> dict:
        """Of one batch, in training mode."""
        self._mode(training=True)
        with self._autocast():
            return self.model(**self.batch, mode='loss')

    def train_step(self) -> None:
        """Loss, gradients and one step of the optimiser, one batch."""
        total, _ = self.model.parse_losses(self.losses())
        self.scaler.scale(total).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    def num_classes(self) -> int:
        return self.model.mask_head.num_classes

    def predict_raw(self) -> Any:
        return self.model.mask_head(self.model.extract_feat(self.image))

    def make_outputs(self) -> tuple:
        feats = self.network()[-1]
        outputs = solo_outputs(self.model.mask_head, tuple(feats.shape[-2:]), self.setting.instances)
        return _move(outputs, self.setting.device)

    def results(self) -> InstanceData:
        kernels, classes, feats = self.outputs
        return self.model.mask_head.predict_by_feat(list(kernels), list(classes), feats, batch_img_metas=[self.meta], rescale=True)[0]

    def use_amp(self) -> None:
        """From now on as the setting says; until then in float32, so that results can be compared."""
        self.amp = self.setting.amp
        if self.amp:
            kind = torch.get_autocast_dtype(self.setting.device.type)
            self.outputs = _move(self.outputs, kind)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.setting.device.type, enabled=self.amp)

    def _mode(self, training: bool) -> None:
        if self.model.training != training:
            self.model.train(training)


@torch.no_grad()
def settle_norms(model: Any, image: torch.Tensor) -> None:
    """Gives the backbone's batch norms the statistics of one image: without, random weights double the variance from block to block.

    Leaves the model in evaluation mode.
    """
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().momentum = 1.0
    model.backbone(image)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


class TwoStageDetector(Detector):
    """mmdet's Mask R-CNN. Finding proposals belongs to the network here; its mask branch runs on as many boxes as there are instances."""

    def num_classes(self) -> int:
        return self.model.roi_head.bbox_head.num_classes

    def predict_raw(self) -> Any:
        feats, roi_head = self.model.extract_feat(self.image), self.model.roi_head
        proposals = self.model.rpn_head.predict(feats, self.sample, rescale=False)
        rois = bbox2roi([one.bboxes for one in proposals])
        boxes = roi_head._bbox_forward(feats, rois)
        masks = roi_head._mask_forward(feats, rois[: self.setting.instances])
        return boxes['cls_score'], boxes['bbox_pred'], masks['mask_preds']

    def make_outputs(self) -> tuple:
        num_rois = self.model.test_cfg.rpn.max_per_img
        return _move(rcnn_outputs(num_rois, self.num_classes(), self.setting.size, self.setting.instances), self.setting.device)

    def results(self) -> InstanceData:
        roi_head, cfg = self.model.roi_head, self.model.test_cfg.rcnn
        rois, logits, offsets, masks = self.outputs
        found = roi_head.bbox_head.predict_by_feat((rois,), (logits,), (offsets,), [self.meta], cfg, rescale=False)
        masks = masks[: len(found[0].bboxes)]
        return roi_head.mask_head.predict_by_feat((masks,), found, [self.meta], cfg, rescale=True)[0]


def make_detector(name: str, config: ConfigDict, setting: Setting) -> Detector:
    """A detector with SOLOv2's `mask_head`, or Mask R-CNN with its `roi_head`.

    Raises:
        ValueError: neither.
    """
    for part, kind in (('mask_head', Detector), ('roi_head', TwoStageDetector)):
        if part in config:
            return kind(name, config, setting)
    raise ValueError(f'{name}: a {config.type} has neither a mask_head nor a roi_head; the race takes SOLOv2 and Mask R-CNN')


def _move(outputs: Any, to: torch.device | torch.dtype) -> Any:
    return type(outputs)(_move(one, to) if isinstance(one, tuple | list) else one.to(to) for one in outputs)
