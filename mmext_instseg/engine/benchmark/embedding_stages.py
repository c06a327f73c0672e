"""What an image costs a model with embeddings, stage by stage, from the network to the masks."""

import copy
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib as mpl
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from ...codecs import EmbeddingCodec, embedding
from ...models.detectors import BottomUpSegmentor
from .detectors import build_model, read_model
from .embedding_decode import draw_embeddings
from .measurement import run_seconds

STAGES = ('network', 'sampling', 'DBSCAN', 'assignment', 'masks')
#: The codec's steps, as it calls them, and the stage of each; its `search` is the assignment.
_STEPS = {'border_pixels': 'sampling', 'sample_by_value': 'sampling', 'adaptive_parameters': 'DBSCAN', 'dbscan_cores': 'DBSCAN'}


@dataclass
class Scene:
    """What stands in for the network's outputs of one image.

    Attributes:
        instances: K.
        decode: outputs -> instances with masks at the size of the image.
    """

    instances: int
    decode: Callable[[], InstanceData]


@dataclass
class StageTimes:
    """Seconds of each stage in each round, for K instances."""

    instances: int
    seconds: dict[str, list[float]]

    def total(self, *without: str) -> list[float]:
        """Sum of the stages but for some, in each round."""
        return [sum(one) for one in zip(*(times for stage, times in self.seconds.items() if stage not in without), strict=True)]


class StagedModel:
    """A model with `EmbeddingCodec` of random weights, its stages apart.

    What its network gives is timed and thrown away: the stages after it get embeddings by `draw_embeddings` and classes to match, and
    `max_per_image` doesn't bind them.

    Args:
        config: of the model.
        size: (H, W) of the image, in pixels; padded as the model's preprocessor does.

    Raises:
        OSError, ValueError: no such config; another kind of model.
    """

    def __init__(self, config: str | Path, size: tuple[int, int], device: torch.device) -> None:
        torch.manual_seed(0)
        model = build_model(read_model(str(config)))
        if not (isinstance(model, BottomUpSegmentor) and isinstance(model.codec, EmbeddingCodec) and 'semantic' in model.heads):
            raise ValueError(f'{config}: not a BottomUpSegmentor with an EmbeddingCodec and a semantic head, so it has other stages')
        self.model, self.device = model.to(device).eval(), device
        image = torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
        batch = self.model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), training=False)
        self.image, self.sample = batch['inputs'], batch['data_samples'][0]

    @torch.no_grad()
    def network(self) -> dict[str, dict[str, Tensor]]:
        """Image -> maps of the heads."""
        return self.model.predict_heads(self.image)

    def scenes(self, instances: Sequence[int], seed: int = 0) -> Iterator[Scene]:
        """One of each number of instances."""
        heads = self.network()
        (height, width), channels = heads['instance']['embedding'].shape[-2:], heads['semantic']['class_prob'].shape[1]
        head = self.model.heads['semantic']
        for count in instances:
            maps, _, blobs = draw_embeddings(self.model.codec, (height, width), count, self.device, seed)
            labels = torch.where(blobs.ids > 0, (blobs.ids.long() - 1) % head.num_things_classes, head.num_classes)
            semantic = F.one_hot(labels, head.num_classes + 1)[None, ..., :channels].permute(0, 3, 1, 2).float().to(self.device)
            made = {**heads, 'instance': maps, 'semantic': {'class_prob': semantic}}
            yield Scene(count, partial(self.decode, made, count))

    @torch.no_grad()
    def decode(self, heads: dict[str, dict[str, Tensor]], most: int) -> InstanceData:
        """Maps of the heads -> at most so many instances; all that follows the network."""
        settings = replace(self.model.test_settings, max_per_image=most)
        shape = (self.image.shape[-2], self.image.shape[-1])
        return self.model.results_from_maps(heads, [copy.copy(self.sample)], shape, settings)[0].pred_instances

    @contextmanager
    def watched(self) -> Iterator[dict[str, float]]:
        """Seconds that the codec's steps take meanwhile, by stage. On a GPU each step is waited for."""
        seconds: dict[str, float] = defaultdict(float)

        def timed(stage: str, step: Callable) -> Callable:
            def run(*args: Any, **kwargs: Any) -> Any:
                found = []
                seconds[stage] += run_seconds(lambda: found.append(step(*args, **kwargs)), self.device)
                return found[0]

            return run

        codec = self.model.codec
        with ExitStack() as stack:
            for name, stage in _STEPS.items():
                stack.enter_context(patch.object(embedding, name, timed(stage, getattr(embedding, name))))
            stack.enter_context(patch.object(codec, 'search', timed('assignment', codec.search)))
            yield seconds

    def check(self, scene: Scene) -> None:
        """All instances are found, and watching the steps changes nothing.

        Raises:
            ValueError: else.
        """
        plain = scene.decode()
        with self.watched():
            watched = scene.decode()
        if len(plain) != scene.instances:
            raise ValueError(
                f'{len(plain)} of {scene.instances} instances are found: they have too few pixels for the codec, or score too low; '
                'give fewer instances or more pixels'
            )
        for name in ('labels', 'scores', 'masks'):
            if not torch.equal(getattr(plain, name), getattr(watched, name)):
                raise ValueError(f'{scene.instances} instances: timed step by step they have other {name}, so the times say nothing')


def time_stages(
    model: StagedModel, instances: Sequence[int], rounds: int, track: Callable[[range], Iterable[int]] | None = None
) -> list[StageTimes]:
    """Checks every scene, then times all in turn, another one first in each round. The network runs once a round, whatever K is.

    Args:
        track: wraps the rounds, to show progress.

    Raises:
        ValueError: by `StagedModel.check`. Nothing is timed then.
    """
    scenes = list(model.scenes(instances))
    for scene in scenes:
        model.check(scene)
    found = [StageTimes(scene.instances, {stage: [] for stage in STAGES}) for scene in scenes]
    for number in (track or iter)(range(rounds)):
        network = run_seconds(model.network, model.device)
        for place in range(len(scenes)):
            index = (place + number) % len(scenes)
            with model.watched() as seconds:
                after = run_seconds(scenes[index].decode, model.device)
            seconds.update(network=network, masks=after - sum(seconds.values()))
            for stage in STAGES:
                found[index].seconds[stage].append(seconds[stage])
    return found


def stage_rows(times: Sequence[StageTimes]) -> list[list[str]]:
    """A header and a row for each number of instances: median milliseconds an image, and what follows the network as a ratio.

    The ratio is to the first row's within the same round: median, lowest and highest.
    """
    rows = [['instances', *(f'{stage} ms' for stage in (*STAGES, 'total')), 'ratio', 'lowest', 'highest']]
    first = times[0].total('network')
    for one in times:
        ratios = sorted(own / other for own, other in zip(one.total('network'), first, strict=True))
        medians = [statistics.median(each) for each in (*one.seconds.values(), one.total())]
        shown = (statistics.median(ratios), ratios[0], ratios[-1])
        rows.append([str(one.instances), *(f'{1e3 * value:.1f}' for value in medians), *(f'{ratio:.2f}' for ratio in shown)])
    return rows


def plot_stages(path: Path, times: Sequence[StageTimes]) -> None:
    """A bar for each number of instances, of its stages after the network.

    Args:
        path: PNG.
    """
    with mpl.rc_context({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False}):
        figure = Figure(figsize=(6, 1.2 + 0.4 * len(times)), layout='constrained')
        axes, names = figure.subplots(), [f'{one.instances:,}' for one in times]
        left = [0.0] * len(times)
        for stage, colour in zip(STAGES[1:], ('#0072B2', '#D55E00', '#009E73', '#CC79A7'), strict=True):
            widths = [1e3 * statistics.median(one.seconds[stage]) for one in times]
            axes.barh(names, widths, left=left, color=colour, label=stage)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        network = 1e3 * statistics.median(times[0].seconds['network'])
        axes.set(xlabel=f'ms an image after the network, which takes {network:.0f} ms', ylabel='instances')
        axes.invert_yaxis()
        axes.legend(frameon=False, ncols=4, loc='lower center', bbox_to_anchor=(0.5, 1))
        figure.savefig(path, dpi=150)
