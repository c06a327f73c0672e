"""Two ways to do the same work, measured in one run: proven equal first, then timed in pairs."""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


@dataclass
class Case:
    """The same work in two ways.

    Attributes:
        columns: what sets this case apart from others, by name.
        pixels: how many are worked on.
        ours, baseline: take nothing and return their result.
        differs: takes both results; says what is wrong with them, None if nothing is.
    """

    columns: dict[str, Any]
    pixels: int
    ours: Callable[[], Any]
    baseline: Callable[[], Any]
    differs: Callable[[Any, Any], str | None]


@dataclass
class Measurement:
    """What a case costs.

    Attributes:
        columns, pixels: of the case.
        seconds: (ours, baseline) of each pair of runs.
        ours_bytes, baseline_bytes: peak memory; see `peak_bytes`.
    """

    columns: dict[str, Any]
    pixels: int
    seconds: list[tuple[float, float]]
    ours_bytes: int
    baseline_bytes: int

    @property
    def ours_seconds(self) -> float:
        """Median."""
        return statistics.median(ours for ours, _ in self.seconds)

    @property
    def baseline_seconds(self) -> float:
        """Median."""
        return statistics.median(baseline for _, baseline in self.seconds)

    @property
    def ratios(self) -> list[float]:
        """Baseline over ours within each pair, in ascending order: what else runs on the machine weighs on both."""
        return sorted(baseline / ours for ours, baseline in self.seconds)


def measure(case: Case, pairs: int, device: torch.device, track: Callable[[range], Iterable[int]] | None = None) -> Measurement:
    """Compares the results, then takes the time of `pairs` pairs of runs, of which every second has the baseline first.

    Args:
        track: wraps the pairs, to show progress.

    Raises:
        ValueError: the results differ, or are no results. Nothing is timed then.
    """
    if problem := case.differs(case.ours(), case.baseline()):
        raise ValueError(f'{", ".join(f"{name} {value}" for name, value in case.columns.items())}: {problem}')
    seconds = [(ours, baseline) for ours, baseline in run_in_turn([case.ours, case.baseline], pairs, device, track)]
    return Measurement(case.columns, case.pixels, seconds, peak_bytes(case.ours, device), peak_bytes(case.baseline, device))


def run_in_turn(
    functions: Sequence[Callable[[], Any]], rounds: int, device: torch.device, track: Callable[[range], Iterable[int]] | None = None
) -> list[tuple[float, ...]]:
    """Seconds of each function in each round. The function that begins is another one in each round.

    Args:
        track: wraps the rounds, to show progress.
    """
    seconds = []
    for number in (track or iter)(range(rounds)):
        order = [(place + number) % len(functions) for place in range(len(functions))]
        found = {index: run_seconds(functions[index], device) for index in order}
        seconds.append(tuple(found[index] for index in range(len(functions))))
    return seconds


def run_seconds(function: Callable[[], Any], device: torch.device) -> float:
    """Wall time of one run, work of a GPU included; on the CPU with one thread the process's own, without waiting for others."""
    start = now(device)
    function()
    return now(device) - start


def now(device: torch.device) -> float:
    """Seconds on the clock of `run_seconds`, once a GPU has done what it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.process_time() if _own_time(device) else time.perf_counter()


def _own_time(device: torch.device) -> bool:
    return device.type == 'cpu' and torch.get_num_threads() == 1


def peak_bytes(function: Callable[[], Any], device: torch.device) -> int:
    """Most memory that torch's allocator held at once for one run: temporary tensors and the result, not what was there before.

    On a GPU by `torch.cuda.max_memory_allocated`, on the CPU by the allocations that torch's profiler records; the scratch memory
    that libraries take from elsewhere isn't in it.
    """
    if device.type == 'cuda':
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    with tempfile.TemporaryDirectory() as folder:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as record:
            result = function()
        record.export_chrome_trace(f'{folder}/trace.json')
        events = json.loads(Path(folder, 'trace.json').read_text())['traceEvents']
    del result  # alive until here: its release is no part of the run
    changes = [(event['ts'], event['args']['Ev Idx'], event['args']['Bytes']) for event in events if event['name'] == '[memory]']
    return max(accumulate((size for *_, size in sorted(changes)), initial=0))


def describe_machine(device: torch.device) -> str:
    """Device, threads, what time was taken, and torch's version."""
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'CPU ({platform.machine()})'
    clock = 'CPU time' if _own_time(device) else 'wall time'
    return f'{name}, {torch.get_num_threads()} CPU thread(s), {clock}, torch {torch.__version__}'
