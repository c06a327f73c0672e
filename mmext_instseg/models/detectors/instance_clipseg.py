"""InstanceCLIPSeg: instances of what a phrase means (distance_map_decoders_instanceclipseg)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from mmdet.models.detectors import BaseDetector
from mmengine.config import ConfigDict
from mmengine.model import ModuleDict
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ...codecs import BaseCodec
from ...ops import sample_bilinear, segment_mean
from ...registry import MODELS, TASK_UTILS
from ...structures import InstanceMap, to_pred_instances
from .grouping import group_pixels, shown


@dataclass
class PhraseSettings:
    """Settings of prediction, the `test_cfg` of `InstanceCLIPSeg`.

    Args:
        mask_threshold: a pixel is of what the phrase means where its probability is above this.
        score_threshold: instances below it are left out.
        max_per_phrase: at most this many instances of a phrase, the best ones; a phrase never costs another its instances.
        chunk: pairs of image and phrase that are decoded at a time, which bounds the memory.
    """

    mask_threshold: float = 0.5
    score_threshold: float = 0.0
    max_per_phrase: int = 200
    chunk: int = 16


@MODELS.register_module()
class InstanceCLIPSeg(BaseDetector):
    """CLIP's image and text towers, a decoder for each pair of image and phrase, and a codec that groups its maps into instances.

    Training: `data_sample.text` is one phrase, `gt_instance_map` the instances that it means. Prediction: `data_sample.text` is a phrase or
    a sequence of phrases; the image is encoded once for all of them. An instance's score is the codec's times its mean mask probability.
    Each sample gets `pred_instances`, labels being indices of its phrases, with `label_names` beside, and `pred_phrase_masks`, the union
    mask of each phrase, (P, H, W) bool.

    Args:
        backbone: image tower, with `out_type='raw'` where the neck reads tokens.
        text_encoder: phrases -> (P, D).
        neck: called with the backbone's outputs, the embedding and image index of each pair, and the grid of patches.
        codec: `BoxDistanceCodec`; also given to the heads named 'heatmap' and 'distance'.
        heads: 'mask' (`mask_prob`) and those of the codec's maps: 'distance' and, with centres, 'heatmap'; None is no head.
        test_cfg: arguments of `PhraseSettings`.

    Raises:
        ValueError: a missing head; at run time, a sample without text, or in training with several phrases, naming the image.
    """

    def __init__(
        self,
        backbone: dict,
        text_encoder: dict,
        neck: dict,
        codec: dict,
        heads: dict[str, dict | None],
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.codec: BaseCodec = TASK_UTILS.build(codec)
        present = {name: head for name, head in heads.items() if head is not None}
        if lacking := {'mask', *self.codec.channels} - set(present):
            raise ValueError(f'InstanceCLIPSeg.heads lacks {sorted(lacking)}; it has {sorted(present)}')
        self.backbone = MODELS.build(backbone)
        self.text_encoder = MODELS.build(text_encoder)
        self.neck = MODELS.build(neck)
        extra = {'heatmap': dict(codec=codec), 'distance': dict(codec=codec)}
        self.heads: Any = ModuleDict({name: MODELS.build(ConfigDict(**head, **extra.get(name, {}))) for name, head in present.items()})
        self.train_cfg = train_cfg
        self.test_settings = PhraseSettings(**(test_cfg or {}))

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """The image tower's taps of (B, 3, H, W) images, which no phrase changes."""
        return tuple(self.backbone(batch_inputs))

    def pair_maps(self, feats: tuple[Tensor, ...], condition: Tensor | None, image: Tensor | None, shape: tuple[int, int]) -> tuple[Tensor]:
        """The decoder's map of each pair, (N, C, H, W): what the heads read.

        Args:
            feats: of `extract_feat`.
            condition: (N, D) embeddings of the phrases; None: without phrases.
            image: (N,) int64, the image of each pair; None: each image once.
            shape: (H, W) of the images.
        """
        side = self.backbone.patch_size
        return self.neck(feats, condition, image, (shape[0] // side, shape[1] // side))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        phrases = [phrase for sample in batch_data_samples for phrase in phrases_of(sample, most=1)]
        feats = self.pair_maps(self.extract_feat(batch_inputs), self.text_encoder(phrases), None, _size(batch_inputs))
        losses: dict[str, Tensor] = {}
        for head in self.heads.values():
            losses.update(head.loss(feats, batch_data_samples))
        return losses

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None) -> tuple[Tensor, ...]:
        """Raw outputs of the heads in the order of the config (`mode='tensor'`): a row for each phrase of each sample, all at once; without
        samples one for each image, without phrases.
        """
        condition, image = None, None
        if batch_data_samples:
            phrases = [phrases_of(sample) for sample in batch_data_samples]
            condition, image = self._pairs(phrases, batch_inputs.device)
        feats = self.pair_maps(self.extract_feat(batch_inputs), condition, image, _size(batch_inputs))
        return tuple(head(feats) for head in self.heads.values())

    def _pairs(self, phrases: Sequence[tuple[str, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
        """(N, D) embeddings of all phrases of each image, and (N,) int64 the image of each."""
        numbers = torch.tensor([len(one) for one in phrases], device=device)
        image = torch.arange(len(phrases), device=device).repeat_interleave(numbers)
        return self.text_encoder([phrase for one in phrases for phrase in one]), image

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """Data samples with `pred_instances` and `pred_phrase_masks`, at the original image size if `rescale`.

        Memory: that of `chunk` pairs in decoder and codec; for each phrase of an image 5 bytes * H * W, until its last one is decoded, and
        H * W bytes for each instance.
        """
        shape = _size(batch_inputs)
        phrases = [phrases_of(sample) for sample in batch_data_samples]
        condition, image = self._pairs(phrases, batch_inputs.device)
        owners = [sample for sample, one in zip(batch_data_samples, phrases, strict=True) for _ in one]
        feats = self.extract_feat(batch_inputs)
        waiting = list(zip(batch_data_samples, phrases, strict=True))
        found: list[tuple[InstanceMap, Tensor]] = []
        for start in range(0, len(owners), self.test_settings.chunk):
            part = slice(start, start + self.test_settings.chunk)
            maps = self.maps_of(feats, condition[part], image[part], shape)
            found += self.instances_from_maps(maps, owners[part], shape, rescale)
            while waiting and len(found) >= len(waiting[0][1]):
                sample, own = waiting.pop(0)
                self._give(sample, own, found[: len(own)])
                del found[: len(own)]
        return batch_data_samples

    def maps_of(
        self, feats: tuple[Tensor, ...], condition: Tensor | None, image: Tensor | None, shape: tuple[int, int]
    ) -> dict[str, Tensor]:
        """All maps by name, (N, C, H, W) float32; arguments as `pair_maps`."""
        pairs = self.pair_maps(feats, condition, image, shape)
        return {name: value for head in self.heads.values() for name, value in head.predict(pairs).items()}

    def instances_from_maps(
        self, maps: dict[str, Tensor], samples: Sequence[Any], shape: tuple[int, int], rescale: bool = True
    ) -> list[tuple[InstanceMap, Tensor]]:
        """Scored instances and union mask (H, W) bool of each pair, without padding.

        Args:
            maps: of `maps_of`.
            samples: the sample of each pair.
            shape: (H, W) of the batch's input.
            rescale: at the original size of the image, not at that of the input without padding.
        """
        probability = maps['mask_prob'][:, 0]
        threshold = self.test_settings.mask_threshold
        parts = [shown(sample, shape) for sample in samples]
        groups = group_pixels(self.codec, maps, probability > threshold, parts)
        found = []
        for one, prob, sample, part in zip(groups, probability, samples, parts, strict=True):
            y, x = (one.ids > 0).nonzero(as_tuple=True)
            score = cast(Tensor, one.scores) * segment_mean(prob[y, x][:, None], one.ids[y, x].long() - 1, len(one))[:, 0]
            one.scores = score
            size = tuple(sample.ori_shape[:2] if rescale else sample.img_shape[:2])
            union = sample_bilinear(prob, size, part) > threshold
            one = one.enlarge(size, part, union)
            found.append((one.select((one.areas > 0) & (score >= self.test_settings.score_threshold)), union))
        return found

    def _give(self, sample: Any, phrases: tuple[str, ...], found: list[tuple[InstanceMap, Tensor]]) -> None:
        """Sets a sample's results from those of its phrases."""
        sample.pred_phrase_masks = PixelData(data=torch.stack([union for _, union in found]))
        chosen = []
        for label, (one, _) in enumerate(found):
            rank = cast(Tensor, one.scores).argsort(descending=True, stable=True).argsort()
            one = one.select(rank < self.test_settings.max_per_phrase)  # before there is a mask of each
            one.labels = torch.full_like(one.labels, label)
            chosen.append(to_pred_instances(one))
        joined = InstanceData.cat(chosen)
        joined = joined[joined.scores.argsort(descending=True, stable=True)]
        joined.label_names = [phrases[label] for label in joined.labels.tolist()]
        sample.pred_instances = joined


def phrases_of(sample: Any, most: int | None = None) -> tuple[str, ...]:
    """The phrases of a sample's `text`, one or several; with `custom_entities` a text is split at '. ', as by mmdet's GLIP: 'dog . cat .'.

    Args:
        most: more than that many are refused.

    Raises:
        ValueError: there is none, or one too many; names the image.
    """
    text = sample.get('text')
    if isinstance(text, str) and sample.get('custom_entities'):
        text = [phrase for part in text.split('. ') if (phrase := part.strip('. '))]
    phrases = (text,) if isinstance(text, str) else tuple(text or ())
    if not phrases:
        raise ValueError(f'{sample.get("img_path")}: no phrase; put `text` into the sample and into the meta_keys of PackDenseInputs')
    if most is not None and len(phrases) > most:
        raise ValueError(f'{sample.get("img_path")}: {len(phrases)} phrases; in training a sample has one, give each its own')
    return phrases


def _size(batch_inputs: Tensor) -> tuple[int, int]:
    """(H, W) of (B, 3, H, W)."""
    return batch_inputs.shape[-2], batch_inputs.shape[-1]
