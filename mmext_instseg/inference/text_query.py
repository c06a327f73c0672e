"""Instances of what phrases mean, from Python: `TextQueryInferencer`."""

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch import Tensor

from ..models.detectors import InstanceCLIPSeg
from ..ops import check_phrase
from ..structures import InstanceMap
from ..visualization import contact_sheet, draw_panel, phrase_pictures
from .tiled import array_pipeline, as_array
from .weights import open_detector

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
        find.draw('found.png', 'photo.jpg', [dogs, cups])

    An image is encoded once for all phrases; embeddings of phrases are kept.

    Args:
        config: file or config of an `InstanceCLIPSeg`, with a test pipeline.
        weights: file of its weights.
        score_threshold: least score of an instance.
        device: None: a GPU if there is one.

    Raises:
        ValueError: weights that aren't a file, or of another model; a config of another model.
    """

    def __init__(self, config: str | Path | Config, weights: str | Path, score_threshold: float = 0.3, device: str | None = None) -> None:
        cfg = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
        model = open_detector(cfg, weights, device or get_device())
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
        asked = self._asked(phrases)
        if isinstance(images, (str, Path, np.ndarray)):
            return self._predict([images], asked)[0]
        return self._predict(list(images), asked)

    @torch.no_grad()
    def maps(self, image: Image, phrases: str | Sequence[str]) -> list[dict[str, Tensor]]:
        """The heads' maps for each phrase, name -> (C, h, w) float32, of the part that shows the image; `mask_prob` and the codec's.

        Raises:
            TypeError, ValueError: as the call.
        """
        asked = self._asked(phrases)
        packed = self.pipeline(dict(img=as_array(image), img_id=0, text=asked))
        data = self.model.data_preprocessor(pseudo_collate([packed]), False)
        shape = (data['inputs'].shape[-2], data['inputs'].shape[-1])
        which = torch.zeros(len(asked), dtype=torch.int64, device=data['inputs'].device)
        maps = self.model.maps_of(self.model.extract_feat(data['inputs']), self.model.text_encoder(asked), which, shape)
        height, width = data['data_samples'][0].img_shape[:2]
        shown = {
            name: value[..., : max(value.shape[-2] * height // shape[0], 1), : max(value.shape[-1] * width // shape[1], 1)].cpu()
            for name, value in maps.items()
        }
        return [{name: value[index] for name, value in shown.items()} for index in range(len(asked))]

    def draw(
        self, path: str | Path, image: Image, results: Sequence[PhraseResult], maps: bool = False, title: str = '', width: int = 1600
    ) -> Path:
        """Writes a PNG with a row for each phrase: image and instances, with `maps` also what the heads say of each pixel.

        Args:
            path: where to; its folder is made.
            results: of the call, for this image; at least one.
            title: before the phrase above each row, such as the file's name.
            width: of the picture, in pixels.
        """
        if not results:
            raise ValueError('no results to draw; ask for a phrase at least')
        found = self.maps(image, [one.phrase for one in results]) if maps else [{} for _ in results]
        picture, rows = as_array(image)[..., ::-1], []
        with tempfile.TemporaryDirectory() as folder:
            for number, (one, own) in enumerate(zip(results, found, strict=True)):
                above = f'{title}: "{one.phrase}", {len(one)} found'.removeprefix(': ')
                rows.append(draw_panel(f'{folder}/{number}.png', picture, one.instances, title=above, pictures=phrase_pictures(own)))
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            return contact_sheet(rows, path, width)

    @staticmethod
    def _asked(phrases: str | Sequence[str]) -> tuple[str, ...]:
        asked = (phrases,) if isinstance(phrases, str) else tuple(phrases)
        for phrase in asked:
            check_phrase(phrase)
        if not asked:
            raise ValueError('no phrase; name what is to be found, such as "a red cup"')
        return asked

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
