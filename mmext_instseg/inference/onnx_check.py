"""How far exported networks are from PyTorch: values, instances, time."""

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from .onnx import OnnxSegmentor
from .onnx_export import difference
from .onnx_networks import network_parts

_ROUNDS = 5


@torch.no_grad()
def parity_rows(detector: BaseModel, folder: str | Path, images: Sequence[str | Path]) -> list[list[str]]:
    """A table: a header and a row for each file of an export.

    The columns: largest absolute difference of a map from PyTorch's, divided by the largest absolute value of that map, over all images;
    megabytes of the file; time by onnxruntime / time by PyTorch, one thread each, medians of 5 rounds in turn on the first image; in how
    many images the final instances have the same masks and labels, how many instances there are, and how many pixels of them differ.

    Args:
        detector: what was exported, on the CPU.
        folder: the export; of an InstanceCLIPSeg with phrases.
        images: files.

    Raises:
        ValueError: no images; an InstanceCLIPSeg without phrases.
    """
    if not images:
        raise ValueError('no images to compare on')
    segment = OnnxSegmentor(folder, threads=1)
    phrases = tuple(segment.embeddings)
    if 'decoder' in segment.parts and not phrases:
        raise ValueError(f'{folder} has no phrases to compare on: export with --text PHRASE ...')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        worst: dict[str, float] = {}
        ratios: dict[str, float] = {}
        same = number = pixels = 0
        for path in images:
            image, sample = segment.prepare(path, phrases)
            for part, inputs in _inputs(detector, segment, image):
                run = segment.parts[part.name]
                worst[part.name] = max(worst.get(part.name, 0.0), difference(run(*inputs), part.module(*inputs)))
                if part.name not in ratios:
                    ratios[part.name] = _time_ratio(run, part.module, inputs)
            wanted = detector.predict(image, [copy.deepcopy(sample)])[0].pred_instances
            found = segment(path, phrases).pred_instances
            missed = _different_pixels(found, wanted)
            same, number, pixels = same + (missed == 0), number + len(wanted), pixels + missed
    finally:
        torch.set_num_threads(threads)
    rows = [['file', 'largest difference', 'MB', 'time ratio', 'same instances']]
    for name, part in segment.manifest['parts'].items():
        size = (Path(folder) / part['file']).stat().st_size / 1e6
        equal = f'{same} of {len(images)} images, {number} instances, {pixels} pixels differ'
        rows.append([part['file'], f'{worst[name]:.1e}', f'{size:.2f}', f'{ratios[name]:.2f}', equal])
    return rows


def _different_pixels(found: InstanceData, wanted: InstanceData) -> int:
    """Pixels in whose masks two results differ; where the instances aren't the same in number or label, all pixels of their masks."""
    if len(found) == len(wanted) and torch.equal(found.labels, wanted.labels):
        return int((found.masks != wanted.masks).any(dim=0).sum())
    return int((found.masks.any(dim=0) | wanted.masks.any(dim=0)).sum())


def _inputs(detector: Any, segment: OnnxSegmentor, image: Tensor):
    """The parts of a detector with their inputs for an image; embeddings of phrases are those exported along, the first one alone."""
    taps: tuple[Tensor, ...] = ()
    for part in network_parts(detector, (image.shape[-2], image.shape[-1])):
        if part.name == 'decoder':
            yield part, (*taps, torch.from_numpy(next(iter(segment.embeddings.values())))[None])
        else:
            yield part, (image,)
            if part.name == 'image_encoder':
                taps = part.module(image)


def _time_ratio(mine: Callable, theirs: Callable, inputs: tuple[Tensor, ...]) -> float:
    """Median seconds of the first / of the second, in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS + 1):
        for run, own in zip((mine, theirs), seconds, strict=True):
            began = time.perf_counter()
            run(*inputs)
            own.append(time.perf_counter() - began)
    first, second = (sorted(own[1:])[_ROUNDS // 2] for own in seconds)  # the first round warms up
    return first / second
