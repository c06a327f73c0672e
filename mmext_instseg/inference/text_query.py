"""Instances of what phrases mean, from Python: `TextQueryInferencer`."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.apis import init_detector
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch import Tensor

from ..models.detectors import InstanceCLIPSeg
from ..ops import check_phrase
from ..structures import InstanceMap
from .tiled import array_pipeline, as_array

Image = str | Path | np.ndarray


@dataclass(frozen=True)
class PhraseResult:
    """What a phrase means in an image.

    Attributes:
        phrase: the phrase.
        masks: (n, H, W) bool, the best instance first.
        boxes: (n, 4) float32, (x1, y1, x2, y2) in pixels.
        scores: (n,) float32 in [0, 1].
        union: (H, W) bool, all that the phrase means, from the mask alone.
    """

    phrase: str
    masks: Tensor
    boxes: Tensor
    scores: Tensor
    union: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def instances(self) -> InstanceMap:
        """The instances as a map; they don't overlap."""
        ids = torch.zeros(self.union.shape, dtype=torch.int32)
        for number, mask in enumerate(self.masks, start=1):
            ids[mask] = number
        return InstanceMap.from_ids(ids, torch.zeros(len(self), dtype=torch.int64), self.scores)


class TextQueryInferencer:
    """A text-query model for everyday use.

        find = TextQueryInferencer('instance_clipseg_c5_3e_lvis-352.py', 'epoch_3.pth')
        dogs, cups = find('photo.jpg', ['a dog', 'red cup'])

    An image is encoded once for all phrases; embeddings of phrases are kept.

    Args:
        config: file or config of an `InstanceCLIPSeg`, with a test pipeline.
        weights: file of its weights.
        score_threshold: least score of an instance.
        device: None: a GPU if there is one.

    Raises:
        ValueError: weights that aren't a file; a config of another model.
    """

    def __init__(self, config: str | Path | Config, weights: str | Path, score_threshold: float = 0.3, device: str | None = None) -> None:
        if not Path(weights).is_file():
            raise ValueError(f'{weights} is not a file; give the weights that a training left, such as epoch_3.pth')
        cfg = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
        model = init_detector(cfg, str(weights), device=device or get_device())
        if not isinstance(model, InstanceCLIPSeg):
            raise ValueError(f'{cfg.filename or "config"}: a {type(model).__name__} takes no phrases; give a config of an InstanceCLIPSeg')
        self.model = model
        self.pipeline = array_pipeline(cfg)
        self.score_threshold = score_threshold

    def __call__(self, images: Image | Sequence[Image], phrases: str | Sequence[str]) -> list:
        """Finds what phrases mean.

        Args:
            images: a file or (H, W, 3) uint8 BGR array, or a sequence of them, which go through the model as one batch.
            phrases: one or several, for each of the images.

        Returns:
            a `PhraseResult` for each phrase; for a sequence of images a list of such lists.

        Raises:
            TypeError, ValueError: a phrase that is none (`check_phrase`), or has more tokens than the text tower reads; an image that
                can't be read.
        """
        asked = (phrases,) if isinstance(phrases, str) else tuple(phrases)
        for phrase in asked:
            check_phrase(phrase)
        if not asked:
            raise ValueError('no phrase; name what is to be found, such as "a red cup"')
        if isinstance(images, (str, Path, np.ndarray)):
            return self._predict([images], asked)[0]
        return self._predict(list(images), asked)

    @torch.no_grad()
    def _predict(self, images: list[Image], phrases: tuple[str, ...]) -> list[list[PhraseResult]]:
        if not images:
            return []
        arrays = [as_array(image) for image in images]
        packed = [self.pipeline(dict(img=array, img_id=index, text=phrases)) for index, array in enumerate(arrays)]
        return [self._results(sample, phrases) for sample in self.model.test_step(pseudo_collate(packed))]

    def _results(self, sample, phrases: tuple[str, ...]) -> list[PhraseResult]:
        found = sample.pred_instances[sample.pred_instances.scores >= self.score_threshold].cpu()
        unions = sample.pred_phrase_masks.data.cpu()
        results = []
        for label, phrase in enumerate(phrases):
            own = found.labels == label
            results.append(PhraseResult(phrase, found.masks[own], found.bboxes[own], found.scores[own], unions[label]))
        return results
