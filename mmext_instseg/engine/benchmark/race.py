"""A race of detectors in one run: proven equal where they must be, then timed in turn, each part by itself."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from mmengine.structures import InstanceData

from .detectors import Detector
from .measurement import peak_bytes, run_in_turn

INFERENCE = 'inference'


@dataclass
class Lap:
    """What one part of a detector costs.

    Attributes:
        name: of the detector; part: 'network', 'post-processing', 'inference' (their sum) or 'train step'.
        seconds: of each round.
        ratios: to the first detector's, of each round.
        fastest: ratio of the fastest rounds, whichever they are: the least disturbed by what else the machine does.
        peak: bytes, see `peak_bytes`; of a part after the weights are there. None for 'inference'.
        peak_ratio: to the first detector's.
    """

    name: str
    part: str
    seconds: list[float]
    ratios: list[float]
    fastest: float
    peak: int | None = None
    peak_ratio: float | None = None

    @property
    def median(self) -> float:
        """Of the ratios."""
        return statistics.median(self.ratios)


def prove_equal(baseline: Detector, plain: Detector) -> None:
    """Gives `plain` the weights of `baseline` and compares outputs and losses.

    Raises:
        ValueError: they are not the same network.
    """
    plain.model.load_state_dict(baseline.model.state_dict())
    for what, rtol in ((Detector.network, 1e-5), (Detector.losses, 1e-4)):
        try:
            torch.testing.assert_close(what(plain), what(baseline), rtol=rtol, atol=1e-5)
        except AssertionError as error:
            raise ValueError(f'{plain.name} is not {baseline.name} in its {what.__name__}, so a race says nothing: {error}') from None


def check_results(detectors: Sequence[Detector], count: int) -> None:
    """Every detector finds `count` instances, and those with the same kind of output find the same ones.

    Raises:
        ValueError: some don't.
    """
    expected: dict[type, tuple[str, InstanceData]] = {}
    for detector in detectors:
        found = detector.postprocess()
        if len(found) != count:
            raise ValueError(f'{detector.name} finds {len(found)} instances where {count} are; give fewer instances or more pixels')
        name, other = expected.setdefault(type(detector), (detector.name, found))
        same = torch.equal(found.labels, other.labels) and torch.equal(found.masks, other.masks)
        if not same or not torch.allclose(found.scores, other.scores):
            raise ValueError(f'{detector.name} and {name} make different instances of one output, so a race says nothing')


def run_race(detectors: Sequence[Detector], rounds: int, progress: Callable[[str], Callable[[range], Iterable[int]]]) -> list[Lap]:
    """Takes memory and times of every part of every detector, as ratios to the first one's.

    Args:
        progress: for a part's name, what wraps the rounds to show progress.
    """
    device = detectors[0].setting.device
    laps: dict[str, list[Lap]] = {}
    for part in detectors[0].parts:
        functions = [detector.parts[part] for detector in detectors]
        peaks = [peak_bytes(function, device) for function in functions]  # warms up, too
        seconds = run_in_turn(functions, rounds, device, progress(part))
        laps[part] = _laps(detectors, part, seconds)
        for lap, peak in zip(laps[part], peaks, strict=True):
            lap.peak, lap.peak_ratio = peak, peak / peaks[0]
        if part == 'post-processing':
            both = zip(laps['network'], laps[part], strict=True)
            sums = [[sum(pair) for pair in zip(network.seconds, after.seconds, strict=True)] for network, after in both]
            laps[INFERENCE] = _laps(detectors, INFERENCE, list(zip(*sums, strict=True)))
    return [lap for part in laps.values() for lap in part]


def _laps(detectors: Sequence[Detector], part: str, seconds: Sequence[tuple[float, ...]]) -> list[Lap]:
    columns = list(zip(*seconds, strict=True))
    ratios = [[own / first for own, first in zip(column, columns[0], strict=True)] for column in columns]
    fastest = [min(column) / min(columns[0]) for column in columns]
    found = zip(detectors, columns, ratios, fastest, strict=True)
    return [Lap(one.name, part, list(own), ratio, best) for one, own, ratio, best in found]
