"""What data sets of phrases share: samples, templates, negatives."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmdet.datasets import BaseDetDataset

from .names import TEMPLATES, check_templates, fill


@dataclass(frozen=True)
class PhraseImage:
    """An image and what can be asked about it.

    Attributes:
        info: img_id, img_path, height, width, and what else its samples hold.
        positives: pairs of phrases that mean the same, the one to test with first, and the instances they mean, as `make_instance`.
        negatives: phrases that mean nothing in this image.
    """

    info: dict
    positives: Sequence[tuple[tuple[str, ...], list[dict]]]
    negatives: tuple[str, ...]


class PhraseDataset(BaseDetDataset):
    """Phrases and the instances that they mean.

    A training sample is an image and one thing to ask for, so an image has several: `text` is a phrase, `instances` those that it means,
    all with label 0. Phrase, template and whether it is a negative one (then without instances) are drawn anew each time the sample is
    taken, from Python's generator, which mmengine seeds in each worker. Samples without instances must pass the pipeline: no
    `FilterAnnotations`, no `filter_empty_gt`.

    A test sample is an image: `text` is the tuple of all its phrases, negatives last, without templates; `bbox_label` of an instance is
    the index of its phrase. Give `PackDenseInputs` 'text' and 'instances' among its `meta_keys` for `PhraseMetric`.

    Args:
        ann_file: annotations.
        data_prefix: `img`, the folder of the images below `data_root`.
        templates: texts with one '{}', for training; 'a' before it becomes 'an' where it should.
        negative_prob: share of training samples with a negative phrase, if the image has one (methods: 0.2, as CLIPSeg).
        **kwargs: as mmdet's `BaseDetDataset`; `filter_cfg=dict(min_size=32)` leaves out small images in training.

    Raises:
        ValueError: templates without a place for the phrase; a probability outside [0, 1].
    """

    METAINFO = {'classes': ('object',), 'palette': None}

    def __init__(
        self,
        ann_file: str = '',
        data_prefix: dict = dict(img=''),
        templates: Sequence[str] = TEMPLATES,
        negative_prob: float = 0.2,
        **kwargs,
    ) -> None:
        self.templates = check_templates(templates)
        if not 0 <= negative_prob <= 1:
            raise ValueError(f'negative_prob is a share of the samples, 0 to 1, not {negative_prob!r}')
        self.negative_prob = negative_prob
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def read_images(self) -> Iterator[PhraseImage]:
        """The images of the annotation file."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        """Training: one dict an image and positive; testing: one an image that has a phrase."""
        samples = self._test_samples if self.test_mode else self._training_samples
        return [sample for image in self.read_images() for sample in samples(image)]

    def _training_samples(self, image: PhraseImage) -> Iterator[dict]:
        for phrases, instances in image.positives:
            yield {**image.info, 'phrases': phrases, 'negatives': image.negatives, 'instances': instances}

    def _test_samples(self, image: PhraseImage) -> Iterator[dict]:
        text = (*(phrases[0] for phrases, _ in image.positives), *image.negatives)
        instances = [{**one, 'bbox_label': label} for label, (_, found) in enumerate(image.positives) for one in found]
        if text:
            yield {**image.info, 'text': text, 'instances': instances}

    def filter_data(self) -> list[dict]:
        """Leaves out images below `filter_cfg['min_size']` in training."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        size = self.filter_cfg.get('min_size', 0)
        return [info for info in self.data_list if min(info['height'], info['width']) >= size]

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline on a sample; in training with a phrase drawn for it."""
        info = self.get_data_info(idx)
        return self.pipeline(info if self.test_mode else self.draw(info))

    def draw(self, info: dict) -> dict:
        """Chooses the `text` of a training sample, which it returns; without instances for a negative phrase."""
        negative = self.draw_negative(info) if random.random() < self.negative_prob else None
        phrase = random.choice(info['phrases']) if negative is None else negative
        drawn = {key: value for key, value in info.items() if key not in ('phrases', 'negatives')}
        return {**drawn, 'text': fill(random.choice(self.templates), phrase), 'instances': info['instances'] if negative is None else []}

    def draw_negative(self, info: dict) -> str | None:
        """A phrase that means nothing in the sample's image; None where none is known."""
        return random.choice(info['negatives']) if info['negatives'] else None


def make_instance(box: Sequence[float], mask: list | dict, height: int, width: int, ignored: bool = False) -> dict | None:
    """An entry of `instances`, by the rules of mmdet's `CocoDataset`.

    Args:
        box: [x, y, width, height] in pixels.
        mask: polygons [[x1, y1, ...], ...] or RLE.
        height, width: of the image.
        ignored: a crowd.

    Returns:
        bbox (xyxy), bbox_label 0, ignore_flag and mask; None for a box that is under a pixel wide or high or outside the image.
    """
    x, y, w, h = box
    if w < 1 or h < 1 or min(x + w, width) <= max(x, 0) or min(y + h, height) <= max(y, 0):
        return None
    return {'bbox': [x, y, x + w, y + h], 'bbox_label': 0, 'ignore_flag': int(ignored), 'mask': mask}


def need(record: dict, key: str, name: str) -> Any:
    """A value of a record; raises ValueError with its name where the key is missing."""
    if key not in record:
        raise ValueError(f'{name} has no {key!r}; export the annotations in the published format')
    return record[key]
