"""Any detectors of mmdet's registries on the same images in one run: network, post-processing, memory, parameters, scores."""

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from ...inference import image_steps, open_detector
from ...registry import DATASETS
from .detectors import build_model, read_config, settle_norms
from .measurement import now, peak_bytes, run_in_turn
from .zoo_scores import Truth, score_all

#: What follows the network, by the class that owns it: mmdet's heads and fusion heads, our detectors.
_POSTPROCESSING = ('predict_by_feat', 'results_from_maps', 'instances_from_maps', '_give')
TIMED = 16  # images that are timed, at most, and that stay in memory


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


class Racer:
    """A detector and its inputs, ready to run.

    Args:
        entry: what to build.
        images: files and their ids; every detector gets the same ones. The first `TIMED` are kept, preprocessed, to be timed.
        size: (H, W) that all of them get, whatever their aspect, padded to multiples of 32 where the detector itself doesn't say; None: as
            its own test pipeline says.
        device: of everything.
        phrases: asked of detectors that take text.
    """

    def __init__(
        self,
        entry: Entry,
        images: Sequence[tuple[Path, int]],
        size: tuple[int, int] | None,
        device: torch.device,
        phrases: tuple[str, ...],
    ) -> None:
        self.images, self.size, self.phrases = images, size, phrases
        self.entry, self.device, self.config = entry, device, read_config(entry.config)
        self.model = self._build().to(device).eval()
        if size is not None and getattr(self.model.data_preprocessor, 'pad_size_divisor', 1) == 1:  # left to its pipeline
            self.model.data_preprocessor.pad_size_divisor = 32
        self.batches = [self._load(*image) for image in images[:TIMED]]
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

    def run(self, number: int | None = None) -> list:
        """Predicts the images that are timed, or one of them; takes the time of the post-processing."""
        self.rounds.append(0.0)
        return [self._predict(batch) for batch in (self.batches if number is None else [self.batches[number]])]

    def predict(self, path: Path, image_id: int) -> DetDataSample:
        """Predicts any image."""
        self.rounds.append(0.0)
        return self._predict(self._load(path, image_id))

    @torch.no_grad()
    def _predict(self, batch: tuple) -> DetDataSample:
        inputs, samples = batch
        return self.model.predict(inputs, copy.deepcopy(samples), rescale=True)[0]

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

    def _load(self, path: Path, image_id: int) -> tuple:
        if self.size is None:
            steps = image_steps(self.config)
        else:
            resize = dict(type='Resize', scale=(self.size[1], self.size[0]), keep_ratio=False)
            keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
            steps = [dict(type='LoadImageFromFile'), resize, dict(type='PackDetInputs', meta_keys=keys)]
        with DefaultScope.overwrite_default_scope('mmdet'):
            packed = Compose(steps)(dict(img_path=str(path), img_id=image_id))
        packed['data_samples'].set_metainfo(dict(text=self.phrases))
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
    """Times every detector on the first `TIMED` images, in turn, round by round, and scores those with a checkpoint on all images.

    A detector that can't run says why, and the others go on. Memory: all weights and each one's timed images at once.

    Args:
        entries, images, size, phrases: as of `Racer`.
        truth: for scores, of detectors with a checkpoint.
        progress: for a title, what wraps an iterable to show progress.

    Raises:
        ValueError: by `Truth.ids_of`.
    """
    standings, racers = [Standing(entry) for entry in entries], {}
    numbered = list(zip(images, truth.ids_of(images), strict=True))

    def attempt(standing: Standing, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # whatever a foreign config raises is its row, not the end of the race
            standing.problem = explain(error)

    def prepare(standing: Standing) -> None:
        racers[id(standing)] = racer = Racer(standing.entry, numbered, size, device, phrases)
        standing.peak = peak_bytes(lambda: racer.run(0), device)  # warms up, too
        standing.parameters = racer.parameters

    def score(standing: Standing) -> None:
        standing.scores = score_all(racers[id(standing)], truth, progress(f'Scores of {standing.entry.name}'))

    for standing in progress('First runs')(standings):
        attempt(standing, partial(prepare, standing))
    for standing in standings:
        if standing.problem is None and standing.entry.checkpoint is not None:
            attempt(standing, partial(score, standing))
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


def _forget_weights(config: Any) -> None:
    """No weights of other trainings anywhere: nothing is downloaded or read."""
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list | tuple) else ():
        _forget_weights(value)
    if isinstance(config, dict):
        if isinstance(config.get('init_cfg'), dict) and config['init_cfg'].get('type') == 'Pretrained':
            config['init_cfg'] = None
        if isinstance(config.get('weights'), str):
            config.update(weights=None, **({'frozen': False} if 'frozen' in config else {}))
