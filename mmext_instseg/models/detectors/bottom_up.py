"""The detector of all bottom-up methods: trunk -> dense heads -> codec -> results."""

from typing import Any, Literal

from mmdet.models.detectors import BaseDetector
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ...codecs import BaseCodec, resize_map
from ...ops import segment_mean
from ...registry import MODELS, TASK_UTILS
from ...structures import InstanceMap, to_panoptic_seg, to_pred_instances


class TestSettings:
    """Settings of prediction, the `test_cfg` of `BottomUpSegmentor`.

    Args:
        foreground_threshold: a pixel may belong to an instance where its thing classes sum to more than this.
        label_by: 'vote': the class with the highest mean probability over the instance's pixels (ours);
            'centre': the class of the grid block that holds its centre of mass (DCME, Section III).
        score_threshold: instances below it are left out.
        max_per_image: at most this many instances, the best ones.
        oracle: names of heads whose maps are replaced by what the ground truth encodes to: ('semantic',) is the class oracle,
            ('instance',) gives true vectors, both together the representation ceiling. The test pipeline must load annotations.
        panoptic: also give `pred_panoptic_seg`.
    """

    def __init__(
        self,
        foreground_threshold: float = 0.5,
        label_by: Literal['vote', 'centre'] = 'vote',
        score_threshold: float = 0.0,
        max_per_image: int = 100,
        oracle: tuple[str, ...] = (),
        panoptic: bool = False,
    ) -> None:
        if label_by not in ('vote', 'centre'):
            raise ValueError(f"test_cfg.label_by must be 'vote' or 'centre', not {label_by!r}")
        self.foreground_threshold = foreground_threshold
        self.label_by = label_by
        self.score_threshold = score_threshold
        self.max_per_image = max_per_image
        self.oracle = (oracle,) if isinstance(oracle, str) else tuple(oracle)
        self.panoptic = panoptic


@MODELS.register_module()
class BottomUpSegmentor(BaseDetector):
    """Dense maps, grouped into instances by a codec.

    Args:
        backbone, neck: the trunk, from any registry. Heads choose among (*neck outputs, *backbone outputs) by `in_index`.
        codec: the representation; it also makes the targets of the head named 'instance'.
        heads: name -> head. 'instance' predicts the codec's maps and 'semantic' `class_prob`; others add losses and maps.
        test_cfg: arguments of `TestSettings`.
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
        missing = {'instance', 'semantic'} - set(heads)
        if missing:
            raise ValueError(f'BottomUpSegmentor.heads lacks {sorted(missing)}; it has {sorted(heads)}')
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.codec: BaseCodec = TASK_UTILS.build(codec)
        extra = {'instance': dict(codec=codec)}
        self.heads: Any = nn.ModuleDict({name: MODELS.build(ConfigDict(**head, **extra.get(name, {}))) for name, head in heads.items()})
        self.train_cfg = train_cfg
        self.test_settings = TestSettings(**(test_cfg or {}))
        unknown = set(self.test_settings.oracle) - set(heads)
        if unknown:
            raise ValueError(f'test_cfg.oracle names {sorted(unknown)}; the heads are {sorted(heads)}')

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """(*neck outputs, *backbone outputs) of (B, 3, H, W) images."""
        outputs = self.backbone(batch_inputs)
        outputs = tuple(outputs) if isinstance(outputs, (list, tuple)) else (outputs,)
        if self.neck is None:
            return outputs
        necks = self.neck(outputs)
        return (*(necks if isinstance(necks, (list, tuple)) else (necks,)), *outputs)

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
        maps = self.predict_maps(batch_inputs, batch_data_samples)
        shape = (batch_inputs.shape[-2], batch_inputs.shape[-1])
        for index, (sample, found) in enumerate(zip(batch_data_samples, self.decode(maps, batch_data_samples, shape), strict=True)):
            size = sample.ori_shape[:2] if rescale else sample.img_shape[:2]
            found = found.crop(sample.img_shape[:2]).resize(size).compact()
            sample.pred_instances = to_pred_instances(found)
            if self.test_settings.panoptic:
                sample.pred_panoptic_seg = self._panoptic(found, maps['class_prob'][index], sample, shape)
        return batch_data_samples

    def predict_maps(self, batch_inputs: Tensor, batch_data_samples: list | None = None) -> dict[str, Tensor]:
        """All maps by name, (B, C, h, w) float32 at the heads' own sizes; heads named by `test_cfg.oracle` give the truth."""
        feats = self.extract_feat(batch_inputs)
        maps: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            found = head.predict(feats)
            if name in self.test_settings.oracle:
                self._require_truth(batch_data_samples)
                shape = next(iter(found.values())).shape[-2:]
                found = head.ideal_maps(batch_data_samples, tuple(shape))
            maps.update(found)
        return maps

    def decode(self, maps: dict[str, Tensor], batch_data_samples: list, shape: tuple[int, int]) -> list[InstanceMap]:
        """Labelled and scored instances at the batch's input size (H, W); nothing in the padding."""
        probability = maps['class_prob']
        things = self.heads['semantic'].num_things_classes
        foreground = resize_map(probability[:, :things].sum(dim=1, keepdim=True), shape)[:, 0] > self.test_settings.foreground_threshold
        for mask, sample in zip(foreground, batch_data_samples, strict=True):
            mask[sample.img_shape[0] :] = False
            mask[:, sample.img_shape[1] :] = False
        groups = self.codec.decode(self.codec.resize(maps, shape), foreground)
        return [self._classify(one, prob[:things]) for one, prob in zip(groups, probability, strict=True)]

    def _classify(self, instances: InstanceMap, probability: Tensor) -> InstanceMap:
        """Gives labels, multiplies the codec's scores by the class probability, keeps the best.

        Args:
            probability: (C, h, w) of the thing classes. Memory for 'vote': 4 bytes * C * foreground pixels.
        """
        scale = [small / full for small, full in zip(probability.shape[-2:], instances.shape, strict=True)]
        if self.test_settings.label_by == 'centre':
            x, y = (instances.centroids[:, axis] * scale[1 - axis] for axis in (0, 1))  # floor(P / Gs), Eq. 2
            per_instance = probability[:, y.long(), x.long()].T
        else:
            y, x = (instances.ids > 0).nonzero(as_tuple=True)
            values = probability[:, ((y + 0.5) * scale[0]).long(), ((x + 0.5) * scale[1]).long()].T
            per_instance = segment_mean(values, instances.ids[y, x].long() - 1, len(instances))
        share, instances.labels = per_instance.max(dim=1)
        instances.scores = share if instances.scores is None else instances.scores * share
        best = instances.scores >= self.test_settings.score_threshold
        if len(instances) > self.test_settings.max_per_image:
            rank = instances.scores.argsort(descending=True, stable=True).argsort()
            best &= rank < self.test_settings.max_per_image
        return instances.select(best)

    def _panoptic(self, instances: InstanceMap, probability: Tensor, sample, shape: tuple[int, int]):
        head = self.heads['semantic']
        things, classes = head.num_things_classes, head.num_classes
        stuff = resize_map(probability[None, things:], shape)[0, :, : sample.img_shape[0], : sample.img_shape[1]]
        stuff = resize_map(stuff[None], instances.shape)[0].argmax(dim=0) + things  # the last channel is background: void
        return to_panoptic_seg(instances, stuff, classes)

    @staticmethod
    def _require_truth(batch_data_samples: list | None) -> None:
        if not batch_data_samples or 'gt_instance_map' not in batch_data_samples[0]:
            raise ValueError('test_cfg.oracle needs ground truth: load annotations and GenerateInstanceMap in the test pipeline')
