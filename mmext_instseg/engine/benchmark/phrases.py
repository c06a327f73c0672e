"""Phrases of one image: encoded once for all of them, against a loop that encodes it anew for each."""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from ...models.detectors import InstanceCLIPSeg
from .detectors import build_model
from .measurement import Case

_WORDS = (
    ('red', 'green', 'blue', 'small', 'large', 'old', 'wooden', 'round'),
    ('dog', 'cup', 'chair', 'ball', 'tree', 'car', 'bird', 'boat'),
)


def phrase_cases(config: ConfigDict, size: tuple[int, int], numbers: Sequence[int], device: torch.device) -> Iterator[Case]:
    """A case of each number of phrases, from the image to instances. Weights are random, so towers need no file.

    Args:
        config: the model of an `InstanceCLIPSeg`.
        size: (H, W) of the image, in pixels; padded as the model's preprocessor does.
        numbers: of phrases, up to 64.

    Raises:
        ValueError: another model; more phrases than there are words for.
    """
    if max(numbers) > len(_WORDS[0]) * len(_WORDS[1]):
        raise ValueError(f'phrases are made of words for {len(_WORDS[0]) * len(_WORDS[1])} of them, not {max(numbers)}')
    model = _random_model(config).to(device).eval()
    image = torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    phrases = [f'a {look} {thing}' for thing in _WORDS[1] for look in _WORDS[0]]
    for number in numbers:
        ours = partial(_predict, model, image, [tuple(phrases[:number])])
        loop = partial(_predict, model, image, [(phrase,) for phrase in phrases[:number]])
        differs = partial(find_map_difference, model, image, phrases[:number])
        yield Case(dict(phrases=number), size[0] * size[1], ours, loop, differs)


def _random_model(config: ConfigDict) -> InstanceCLIPSeg:
    config = copy.deepcopy(config)
    if config.get('type') != 'InstanceCLIPSeg':
        raise ValueError(f'a {config.get("type")} takes no phrases; give the config of an InstanceCLIPSeg')
    for tower in (config.backbone, config.text_encoder):
        tower.update(frozen=False, weights=None)
    torch.manual_seed(0)
    model = build_model(config)
    model.init_weights()
    return model


@torch.no_grad()
def _predict(model: InstanceCLIPSeg, image: Tensor, asked: Sequence[tuple[str, ...]]) -> list[Any]:
    """A prediction of each tuple of phrases, one after another."""
    results = []
    for phrases in asked:
        sample = DetDataSample(metainfo=dict(img_shape=image.shape[1:], ori_shape=image.shape[1:], scale_factor=(1.0, 1.0)), text=phrases)
        results += model.test_step(dict(inputs=[image], data_samples=[sample]))
    return results


@torch.no_grad()
def find_map_difference(
    model: InstanceCLIPSeg, image: Tensor, phrases: Sequence[str], ours: Sequence[Any], loop: Sequence[Any]
) -> str | None:
    """What differs between the maps of all phrases at once and one by one, or in how many phrases were answered; None: nothing.

    Maps may differ by 1e-4 of their range: sums of other batches round otherwise.
    """
    answered = [sum(len(sample.pred_phrase_masks.data) for sample in samples) for samples in (ours, loop)]
    if answered != [len(phrases)] * 2:
        return f'{answered} phrases were answered'
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[DetDataSample(metainfo=dict(img_shape=image.shape[1:]))]))
    shape = (data['inputs'].shape[-2], data['inputs'].shape[-1])
    feats = model.extract_feat(data['inputs'])
    which = torch.zeros(len(phrases), dtype=torch.int64, device=data['inputs'].device)
    together = model.maps_of(feats, model.text_encoder(phrases), which, shape)
    for number, phrase in enumerate(phrases):
        alone = model.maps_of(model.extract_feat(data['inputs']), model.text_encoder([phrase]), which[:1], shape)
        for name, value in alone.items():
            if (value[0] - together[name][number]).abs().max() > 1e-4 * max(float(value.max() - value.min()), 1e-3):
                return f'the map {name} of "{phrase}" depends on the other phrases'
    return None
