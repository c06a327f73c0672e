"""The detector of all bottom-up methods: trunk -> dense heads -> codec -> results."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmdet.models.detectors import BaseDetector
from mmengine.config import ConfigDict
from mmengine.model import ModuleDict
from mmengine.structures import PixelData
from torch import Tensor

from ...codecs import BaseCodec
from ...ops import sample_bilinear, segment_mean
from ...registry import MODELS, TASK_UTILS
from ...structures import InstanceMap, to_panoptic_seg, to_pred_instances
from .grouping import group_pixels, shown
from .oracles import classify_truth, ground_truth, probability_at_centres, take_true_labels


@dataclass
class TestSettings:
    """Settings of prediction, the `test_cfg` of `BottomUpSegmentor`.

    Args:
        foreground_threshold: a pixel may belong to an instance where its thing classes sum to more than this; None: everywhere, the
            codec's own maps know the background.
        label_by: 'vote': the class with the highest mean probability over the instance's pixels (ours);
            'centre': the class of the grid block that holds its centre of mass (DCME, Section III).
        score_threshold: instances below it are left out.
        max_per_image: at most this many instances, the best ones.
        true_maps: names of heads whose maps are replaced by what the ground truth encodes to: ('semantic',) gives true semantics,
            ('instance',) true vectors, both together the representation ceiling.
        oracle: DCME, Section V. 'instance': the true instances, all of them, labelled and scored by the grid class at their centre
            of mass; 'class': the predicted instances, each with the label of the true one that it shares most pixels with.
        panoptic: also give `pred_panoptic_seg`.
        semantic: also give `pred_sem_seg`, the most probable class of each pixel, (1, H, W) int64.
        min_stuff_area: stuff classes with fewer pixels in the image are void in it.

    With `true_maps` or `oracle` the test pipeline must load annotations.

    Raises:
        ValueError: `label_by` or `oracle` is none of the values above.
    """

    foreground_threshold: float | None = 0.5
    label_by: Literal['vote', 'centre'] = 'vote'
    score_threshold: float = 0.0
    max_per_image: int = 100
    true_maps: tuple[str, ...] = ()
    oracle: Literal['instance', 'class'] | None = None
    panoptic: bool = False
    semantic: bool = False
    min_stuff_area: int = 0

    def __post_init__(self) -> None:
        if self.label_by not in ('vote', 'centre'):
            raise ValueError(f"test_cfg.label_by must be 'vote' or 'centre', not {self.label_by!r}")
        if self.oracle not in (None, 'instance', 'class'):
            raise ValueError(
                f"test_cfg.oracle must be None, 'instance' or 'class', not {self.oracle!r}; "
                'heads whose maps come from the ground truth are named in test_cfg.true_maps'
            )
        self.true_maps = (self.true_maps,) if isinstance(self.true_maps, str) else tuple(self.true_maps)


@MODELS.register_module()
class BottomUpSegmentor(BaseDetector):
    """Dense maps, grouped into instances by a codec.

    Args:
        backbone, neck: the trunk, from any registry. Heads choose among (*neck outputs, *backbone outputs) by `in_index`.
        codec: the representation; it also makes the targets of the head named 'instance'.
        heads: name -> head. 'instance' predicts the codec's maps; 'semantic' `class_prob`, without it every label is 0; 'depth'
            `depth`, which becomes `pred_depth_map`; others add losses and maps.
        test_cfg: arguments of `TestSettings`.

    Raises:
        ValueError: no instance head; a setting that needs a head which isn't there.
    """

    def __init__(
        self,
        backbone: dict,
        codec: dict,
        heads: dict[str, dict],
        neck: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if 'instance' not in heads:
            raise ValueError(f"BottomUpSegmentor.heads lacks 'instance'; it has {sorted(heads)}")
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.codec: BaseCodec = TASK_UTILS.build(codec)
        extra = {'instance': dict(codec=codec)}
        self.heads: Any = ModuleDict({name: MODELS.build(ConfigDict(**head, **extra.get(name, {}))) for name, head in heads.items()})
        self.train_cfg = train_cfg
        self.test_settings = TestSettings(**(test_cfg or {}))
        unknown = set(self.test_settings.true_maps) - set(heads)
        if unknown:
            raise ValueError(f'test_cfg.true_maps names {sorted(unknown)}; the heads are {sorted(heads)}')
        if 'semantic' not in heads:
            _refuse_semantics(self.test_settings)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """(*neck outputs, *backbone outputs) of (B, 3, H, W) images."""
        outputs = self.backbone(batch_inputs)
        outputs = tuple(outputs) if isinstance(outputs, (list, tuple)) else (outputs,)
        if self.neck is None:
            return outputs
        necks = self.neck(outputs)
        return (*(necks if isinstance(necks, (list, tuple)) else (necks,)), *outputs)

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        """Depth of a parameter, for mmpretrain's `LearningRateDecayOptimWrapperConstructor`: the ViT's, and all else beyond its last."""
        if not hasattr(self.backbone, 'get_layer_depth'):
            raise ValueError(f"layer decay needs a ViT as the backbone; {type(self.backbone).__name__} doesn't count its layers")
        return self.backbone.get_layer_depth(param_name, 'backbone.')

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        feats = self.extract_feat(batch_inputs)
        losses: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            found = head.loss(feats, batch_data_samples)
            if repeated := set(found) & set(losses):
                raise ValueError(f'head {name!r} repeats the loss names {sorted(repeated)}')
            losses.update(found)
        return losses

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None) -> tuple[Tensor, ...]:
        """Raw outputs of the heads in the order of the config (`mode='tensor'`)."""
        feats = self.extract_feat(batch_inputs)
        return tuple(head(feats) for head in self.heads.values())

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """Data samples with `pred_instances` (and `pred_panoptic_seg`), at the original image size if `rescale`."""
        return self.results_from_maps(self.predict_heads(batch_inputs), batch_data_samples, _size(batch_inputs), rescale=rescale)

    def predict_heads(self, batch_inputs: Tensor) -> dict[str, dict[str, Tensor]]:
        """Maps of each head by name, (B, C, h, w) float32 at the head's own size: one pass through the network."""
        feats = self.extract_feat(batch_inputs)
        return {name: head.predict(feats) for name, head in self.heads.items()}

    def predict_maps(self, batch_inputs: Tensor, batch_data_samples: list | None = None) -> dict[str, Tensor]:
        """All maps by name, (B, C, h, w) float32 at the heads' own sizes; heads named by `test_cfg.true_maps` give the truth."""
        return self.choose_maps(self.predict_heads(batch_inputs), batch_data_samples, _size(batch_inputs))

    def results_from_maps(
        self,
        head_maps: dict[str, dict[str, Tensor]],
        batch_data_samples: list,
        shape: tuple[int, int],
        settings: TestSettings | None = None,
        rescale: bool = True,
    ) -> list:
        """What `predict` does after the network, so that one pass serves several settings. `head_maps` stay as they are.

        Args:
            head_maps: of `predict_heads`.
            batch_data_samples: get `pred_instances`, in place of those they have.
            shape: (H, W) of the batch's input.
            settings: in place of the model's `test_cfg`.
            rescale: results at the original size of the image, not at that of the input without padding.
        """
        settings = settings or self.test_settings
        maps = self.choose_maps(head_maps, batch_data_samples, shape, settings)
        found = self.instances_from_maps(maps, batch_data_samples, shape, settings, rescale)
        for index, (sample, instances) in enumerate(zip(batch_data_samples, found, strict=True)):
            sample.pred_instances = to_pred_instances(instances)
            if settings.panoptic:
                sample.pred_panoptic_seg = self._panoptic(instances, maps['class_prob'][index], shown(sample, shape), settings)
            size = tuple(sample.ori_shape[:2] if rescale else sample.img_shape[:2])
            if settings.semantic:
                probability = sample_bilinear(maps['class_prob'][index], size, shown(sample, shape))
                sample.pred_sem_seg = PixelData(sem_seg=probability.argmax(dim=0, keepdim=True))
            if 'depth' in maps:
                sample.pred_depth_map = PixelData(data=sample_bilinear(maps['depth'][index], size, shown(sample, shape)))
        return batch_data_samples

    def instances_from_maps(
        self,
        maps: dict[str, Tensor],
        batch_data_samples: list,
        shape: tuple[int, int],
        settings: TestSettings | None = None,
        rescale: bool = True,
    ) -> list[InstanceMap]:
        """Labelled and scored instances of each image, without padding; arguments as `results_from_maps`, `maps` of `predict_maps`.

        Groups are decoded at the size of the codec's maps and then enlarged, with the foreground interpolated between its own pixels.
        """
        settings = settings or self.test_settings
        sizes = [tuple(sample.ori_shape[:2] if rescale else sample.img_shape[:2]) for sample in batch_data_samples]
        probability = self._thing_probability(maps)
        truths = ground_truth(batch_data_samples, shape) if settings.oracle else []
        if settings.oracle == 'instance':  # its rows are those of the truth
            found = [classify_truth(one, prob) for one, prob in zip(truths, probability, strict=True)]
            return [one.crop(sample.img_shape[:2]).resize(size) for one, sample, size in zip(found, batch_data_samples, sizes, strict=True)]
        groups = self.decode(maps, batch_data_samples, shape, settings)
        found = []
        for index, (one, sample, size) in enumerate(zip(groups, batch_data_samples, sizes, strict=True)):
            part = shown(sample, shape)
            foreground = None
            if settings.foreground_threshold is not None:
                foreground = sample_bilinear(probability[index].sum(dim=0), size, part) > settings.foreground_threshold
            one = one.enlarge(size, part, foreground)
            if settings.oracle == 'class':
                one = take_true_labels(one, truths[index].crop(sample.img_shape[:2]).resize(size))
            found.append(one.compact())
        return found

    def choose_maps(
        self,
        head_maps: dict[str, dict[str, Tensor]],
        batch_data_samples: list | None,
        shape: tuple[int, int],
        settings: TestSettings | None = None,
    ) -> dict[str, Tensor]:
        """All maps by name, those of the heads in `true_maps` from the ground truth; arguments as `results_from_maps`."""
        settings = settings or self.test_settings
        maps: dict[str, Tensor] = {}
        for name, found in head_maps.items():
            if name in settings.true_maps:
                ground_truth(batch_data_samples, shape)
                size = next(iter(found.values())).shape[-2:]
                found = self.heads[name].ideal_maps(batch_data_samples, tuple(size))
            maps.update(found)
        return maps

    def decode(
        self, maps: dict[str, Tensor], batch_data_samples: list, shape: tuple[int, int], settings: TestSettings
    ) -> list[InstanceMap]:
        """Labelled and scored instances at the size of the codec's maps; nothing in the padding."""
        probability = self._thing_probability(maps)
        codec_map = maps[next(iter(self.codec.channels))]
        size = (codec_map.shape[-2], codec_map.shape[-1])
        if settings.foreground_threshold is None:
            foreground = torch.ones((len(codec_map), *size), dtype=torch.bool, device=codec_map.device)
        else:
            foreground = sample_bilinear(probability.sum(dim=1), size) > settings.foreground_threshold
        groups = group_pixels(self.codec, maps, foreground, [shown(sample, shape) for sample in batch_data_samples])
        return [self._classify(one, prob, settings, shape) for one, prob in zip(groups, probability, strict=True)]

    def _thing_probability(self, maps: dict[str, Tensor]) -> Tensor:
        """(B, C, h, w) of the thing classes; a single one that is certain where nothing tells classes apart."""
        if 'class_prob' in maps:
            return maps['class_prob'][:, : self.heads['semantic'].num_things_classes]
        return torch.ones_like(maps[next(iter(self.codec.channels))][:, :1])

    @staticmethod
    def _classify(instances: InstanceMap, probability: Tensor, settings: TestSettings, shape: tuple[int, int]) -> InstanceMap:
        """Gives labels, multiplies the codec's scores by the class probability, keeps the best.

        Args:
            probability: (C, h, w) of the thing classes. Memory for 'vote': 4 bytes * C * foreground pixels.
        """
        if settings.label_by == 'centre':
            per_instance = probability_at_centres(instances, probability, shape)
        else:
            scale = [small / full for small, full in zip(probability.shape[-2:], instances.shape, strict=True)]
            y, x = (instances.ids > 0).nonzero(as_tuple=True)
            values = probability[:, ((y + 0.5) * scale[0]).long(), ((x + 0.5) * scale[1]).long()].T
            per_instance = segment_mean(values, instances.ids[y, x].long() - 1, len(instances))
        share, instances.labels = per_instance.max(dim=1)
        instances.scores = share if instances.scores is None else instances.scores * share
        best = instances.scores >= settings.score_threshold
        if len(instances) > settings.max_per_image:
            rank = instances.scores.argsort(descending=True, stable=True).argsort()
            best &= rank < settings.max_per_image
        return instances.select(best)

    def _panoptic(self, instances: InstanceMap, probability: Tensor, part: tuple[float, float], settings: TestSettings) -> PixelData:
        """Stuff behind the instances; void where the background leads, or a thing is likely but no instance is.

        Without `foreground_threshold` a thing is likely where it leads (ours).
        """
        things, classes = self.heads['semantic'].num_things_classes, self.heads['semantic'].num_classes
        sampled = sample_bilinear(probability, instances.shape, part)
        best, stuff = F.pad(sampled[things:], (0, 0, 0, 0, 0, 1)).max(dim=0)
        stuff = (stuff + things).clamp(max=classes)  # a background channel, or the one added where there is neither: void
        if settings.foreground_threshold is None:
            likely = sampled[:things].amax(dim=0) > best
        else:
            likely = sampled[:things].sum(dim=0) > settings.foreground_threshold
        stuff = torch.where(likely, classes, stuff)
        if settings.min_stuff_area:
            areas = torch.bincount(torch.where(instances.ids > 0, classes, stuff).flatten(), minlength=classes + 1)
            stuff = torch.where(areas[stuff] < settings.min_stuff_area, classes, stuff)
        return to_panoptic_seg(instances, stuff, classes)


def _refuse_semantics(settings: TestSettings) -> None:
    """Raises where settings need a semantic head."""
    needs = {'foreground_threshold': None, 'oracle': None, 'panoptic': False, 'semantic': False}
    wrong = [name for name, value in needs.items() if getattr(settings, name) != value]
    if wrong:
        raise ValueError(
            f"BottomUpSegmentor without a head 'semantic' can't have test_cfg.{wrong[0]}={getattr(settings, wrong[0])!r}; "
            f'set it to {needs[wrong[0]]}'
        )


def _size(batch_inputs: Tensor) -> tuple[int, int]:
    """(H, W) of (B, 3, H, W)."""
    return batch_inputs.shape[-2], batch_inputs.shape[-1]
