"""Any detectors of mmdet's registries on the same images in one run: network, post-processing, memory, parameters, scores."""

import copy
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmdet.evaluation import CocoMetric, CocoPanopticMetric
from mmdet.models.dense_heads import RPNHead
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from ...inference import image_steps, open_detector
from ...registry import DATASETS
from .detectors import build_model, read_config, settle_norms
from .measurement import now, peak_bytes, run_in_turn

#: What follows the network, by the class that owns it: mmdet's heads and fusion heads, our detectors.
_POSTPROCESSING = ('predict_by_feat', 'results_from_maps', 'instances_from_maps', '_give')


@dataclass
class Entry:
    """A detector that takes part.

    Attributes:
        name: in the table.
        config: file, or a package's, as `read_config` takes it.
        checkpoint: its weights; None: random ones.
    """

    name: str
    config: str
    checkpoint: Path | None = None


@dataclass
class Standing:
    """What was found out about a detector.

    Attributes:
        entry: of the race.
        parameters: numbers of them, frozen ones included.
        network, postprocessing: seconds of each round, all images together.
        peak: bytes for one image, see `peak_bytes`; without the weights.
        scores: 'AP', 'AP50' of masks and 'PQ', in percent.
        problem: why there is nothing of the above.
    """

    entry: Entry
    parameters: int = 0
    network: list[float] = field(default_factory=list)
    postprocessing: list[float] = field(default_factory=list)
    peak: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    problem: str | None = None


@dataclass
class Truth:
    """Annotations of the images, for scores. `coco`: file of instances; `panoptic`: file, its PNGs in a folder of the same name."""

    coco: Path | None = None
    panoptic: Path | None = None

    def image_ids(self) -> dict[str, int]:
        """Ids by file name.

        Raises:
            ValueError: the two files number an image differently.
        """
        ids: dict[str, int] = {}
        for path in filter(None, (self.coco, self.panoptic)):
            for image in json.loads(path.read_text())['images']:
                if ids.setdefault(Path(image['file_name']).stem, image['id']) != image['id']:
                    raise ValueError(f'{path}: image {image["file_name"]} has another id than in {self.coco}')
        return ids


class Racer:
    """A detector and its inputs, ready to run.

    Args:
        entry: what to build.
        images: files; every detector gets the same ones.
        size: (H, W) that all of them get, whatever their aspect, padded to multiples of 32 where the detector itself doesn't say; None: as
            its own test pipeline says.
        device: of everything.
        phrases: asked of detectors that take text.
        ids: image ids by stem, for scores.
    """

    def __init__(
        self,
        entry: Entry,
        images: Sequence[Path],
        size: tuple[int, int] | None,
        device: torch.device,
        phrases: tuple[str, ...],
        ids: dict[str, int],
    ) -> None:
        self.entry, self.device, self.config = entry, device, read_config(entry.config)
        self.model = self._build().to(device).eval()
        if size is not None and getattr(self.model.data_preprocessor, 'pad_size_divisor', 1) == 1:  # left to its pipeline
            self.model.data_preprocessor.pad_size_divisor = 32
        self.batches = [self._load(path, ids.get(path.stem, number), size, phrases) for number, path in enumerate(images)]
        if entry.checkpoint is None:
            settle_norms(self.model, self.batches[0][0])
        self.rounds: list[float] = []
        self._since: float | None = None
        for owner in self.model.modules():
            names = [name for name in _POSTPROCESSING if callable(getattr(owner, name, None)) and not isinstance(owner, RPNHead)]
            if type(owner).__name__.endswith('FusionHead'):
                names.append('predict')
            for name in names:
                setattr(owner, name, self._timed(getattr(owner, name)))

    @property
    def parameters(self) -> int:
        return sum(one.numel() for one in self.model.parameters())

    def classes(self) -> dict:
        """Names of classes: of the checkpoint, else of the config's data set."""
        dataset = self.config.test_dataloader.dataset
        meta = getattr(self.model, 'dataset_meta', None) or {}
        with DefaultScope.overwrite_default_scope('mmdet'):
            known = getattr(DATASETS.get(dataset.type), 'METAINFO', {})
        return {**known, **dataset.get('metainfo', {}), **meta}

    @torch.no_grad()
    def run(self, number: int | None = None) -> list:
        """Predicts all images, or one of them; takes the time of the post-processing."""
        self.rounds.append(0.0)
        chosen = self.batches if number is None else [self.batches[number]]
        found = []
        for inputs, samples in chosen:
            found += self.model.predict(inputs, copy.deepcopy(samples), rescale=True)
        return found

    def _timed(self, function: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._since is not None:  # within another one
                return function(*args, **kwargs)
            self._since = now(self.device)
            try:
                return function(*args, **kwargs)
            finally:
                self.rounds[-1] += now(self.device) - self._since
                self._since = None

        return timed

    def _build(self) -> Any:
        config = copy.deepcopy(self.config)
        if self.entry.checkpoint is not None:
            return open_detector(config, self.entry.checkpoint, str(self.device))
        _forget_weights(config.model)
        torch.manual_seed(0)
        model = build_model(config.model)
        model.init_weights()
        for module in model.modules():
            if isinstance(getattr(module, 'fc_reg', None), nn.Linear):
                nn.init.zeros_(
                    module.fc_reg.weight
                )  # random offsets, stage after stage, leave the image, and mmdet can't paste masks there
        return model

    def _load(self, path: Path, image_id: int, size: tuple[int, int] | None, phrases: tuple[str, ...]) -> tuple:
        if size is None:
            steps = image_steps(self.config)
        else:
            resize = dict(type='Resize', scale=(size[1], size[0]), keep_ratio=False)
            keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
            steps = [dict(type='LoadImageFromFile'), resize, dict(type='PackDetInputs', meta_keys=keys)]
        with DefaultScope.overwrite_default_scope('mmdet'):
            packed = Compose(steps)(dict(img_path=str(path), img_id=image_id))
        packed['data_samples'].set_metainfo(dict(text=phrases))
        data = self.model.data_preprocessor(pseudo_collate([packed]), False)
        return data['inputs'], data['data_samples']


def run_zoo_race(
    entries: Sequence[Entry],
    images: Sequence[Path],
    size: tuple[int, int] | None,
    rounds: int,
    device: torch.device,
    truth: Truth,
    phrases: tuple[str, ...] = ('object',),
    progress: Callable[[str], Callable[[Iterable], Iterable]] = lambda title: iter,
) -> list[Standing]:
    """Runs every detector on every image, in turn, round by round; a detector that can't run says why, and the others go on.

    Memory: all weights at once.

    Args:
        entries, images, size, phrases: as of `Racer`.
        truth: for scores, of detectors with a checkpoint.
        progress: for a title, what wraps an iterable to show progress.
    """
    standings, racers, ids = [Standing(entry) for entry in entries], {}, truth.image_ids()
    for standing in progress('First runs')(standings):
        try:
            racer = Racer(standing.entry, images, size, device, phrases, ids)
            standing.peak = peak_bytes(lambda racer=racer: racer.run(0), device)  # warms up, too
            standing.parameters = racer.parameters
            if standing.entry.checkpoint is not None:
                standing.scores = _score(racer, truth)
            racers[id(standing)] = racer
        except Exception as error:  # whatever a foreign config raises is its row, not the end of the race
            standing.problem = explain(error)
    running = [standing for standing in standings if standing.problem is None]
    for standing in running:
        racers[id(standing)].rounds.clear()
    laps = run_in_turn([racers[id(standing)].run for standing in running], rounds, device, progress('Rounds'))
    for standing, column in zip(running, zip(*laps, strict=True), strict=True):
        standing.postprocessing = list(racers[id(standing)].rounds)
        standing.network = [total - after for total, after in zip(column, standing.postprocessing, strict=True)]
    return standings


def explain(error: Exception) -> str:
    """One line; for an op that mmcv-lite lacks its name."""
    missing = re.match(r'(\w+) of mmcv\._ext', str(error))
    if missing:
        return f'needs a compiled op: {re.sub("_(forward|backward)$", "", missing[1])}'
    return f'{type(error).__name__}: {" ".join(str(error).split())[:160]}'


def _score(racer: Racer, truth: Truth) -> dict[str, float]:
    found = [sample.to_dict() for sample in racer.run()]
    meta = racer.classes()
    scores: dict[str, float] = {}
    if truth.coco is not None and all('pred_instances' in one for one in found):
        metric = CocoMetric(ann_file=str(truth.coco), metric='segm')
        scores = _evaluate(metric, meta, found, {'AP': 'coco/segm_mAP', 'AP50': 'coco/segm_mAP_50'})
    if truth.panoptic is not None and all('pred_panoptic_seg' in one for one in found):
        metric = CocoPanopticMetric(ann_file=str(truth.panoptic), seg_prefix=str(truth.panoptic.with_suffix('')))
        scores |= {'PQ': _evaluate(metric, meta, found, {'PQ': 'coco_panoptic/PQ'})['PQ'] / 100}
    return {name: 100 * value for name, value in scores.items()}


def _evaluate(metric: Any, meta: dict, found: list[dict], names: dict[str, str]) -> dict[str, float]:
    metric.dataset_meta = meta
    metric.process({}, copy.deepcopy(found))
    values = metric.evaluate(len(found))
    return {name: values[key] for name, key in names.items()}


def _forget_weights(config: Any) -> None:
    """No weights of other trainings anywhere: nothing is downloaded or read."""
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list | tuple) else ():
        _forget_weights(value)
    if isinstance(config, dict):
        if isinstance(config.get('init_cfg'), dict) and config['init_cfg'].get('type') == 'Pretrained':
            config['init_cfg'] = None
        if isinstance(config.get('weights'), str):
            config.update(weights=None, **({'frozen': False} if 'frozen' in config else {}))
