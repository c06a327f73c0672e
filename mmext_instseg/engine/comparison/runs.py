"""One training run of a comparison: in processes of its own, stopped and started again without loss of finished work."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG_TAIL = 25  # lines


class RunError(RuntimeError):
    """Training or testing ended with an error; the message holds the end of its log."""


@dataclass(frozen=True)
class Run:
    """A config trained with a seed, in the folder <out>/<name>/seed<seed>."""

    out: Path
    name: str
    seed: int

    @property
    def config(self) -> Path:
        return self.out / self.name / 'config.py'

    @property
    def folder(self) -> Path:
        return self.out / self.name / f'seed{self.seed}'

    @property
    def weights(self) -> Path:
        return self.folder / 'train' / 'final.pth'

    def __str__(self) -> str:
        return f'{self.name}, seed {self.seed}'


def finished(run: Run) -> dict | None:
    """The result of a run, None where it has none yet.

    Returns:
        config, seed, iterations, max_iters, cut, seconds, parameters (see `TimeBudgetHook`) and `metrics`, name -> value.
    """
    path = run.folder / 'result.json'
    return json.loads(path.read_text()) if path.is_file() else None


def execute(run: Run, tools: Path, watch: Callable[[int], None] = lambda step: None) -> dict:
    """Trains and tests one run by the ordinary scripts; an interrupted training starts anew, an interrupted test is repeated.

    Args:
        tools: folder of train.py and test.py.
        watch: called again and again with the latest logged iteration.

    Returns:
        as `finished`, which finds it from then on.

    Raises:
        RunError: a process failed. Nothing is kept but its log.
    """
    start = time.monotonic()
    train, test = run.folder / 'train', run.folder / 'test'
    options = ['--cfg-options', f'randomness.seed={run.seed}']
    if not (train / 'budget.json').is_file():
        shutil.rmtree(run.folder, ignore_errors=True)
        train.mkdir(parents=True)
        _call([tools / 'train.py', run.config, '--work-dir', train, *options], train.with_suffix('.log'), lambda: watch(_step(train)))
    shutil.rmtree(test, ignore_errors=True)
    _call([tools / 'test.py', run.config, run.weights, '--work-dir', test, *options], test.with_suffix('.log'), lambda: None)
    found = [json.loads(path.read_text()) for path in test.glob('*/*.json')]
    if len(found) != 1:
        raise RunError(f'{run}: test.py wrote no metrics; see {test.with_suffix(".log")}')
    metrics = {name: value for name, value in found[0].items() if isinstance(value, int | float) and name not in ('time', 'data_time')}
    budget = json.loads((train / 'budget.json').read_text())
    result = {'config': run.name, 'seed': run.seed, **budget, 'wall_seconds': round(time.monotonic() - start, 2), 'metrics': metrics}
    partial = run.folder / 'result.json.part'
    partial.write_text(json.dumps(result, indent=2))
    partial.replace(run.folder / 'result.json')
    return result


def _call(words: Sequence[str | Path], log: Path, watch: Callable[[], None]) -> None:
    """Runs a Python script to its end, its output in `log`; it doesn't outlive this process's own end by error or signal."""
    # Two processes whose idle threads spin cost each other most of their time.
    environment = {'OMP_WAIT_POLICY': 'passive', **os.environ}
    with log.open('w') as stream:
        # close_fds=False passes on what is inheritable: the lock of `lock_folder`
        process = subprocess.Popen(
            [sys.executable, *map(str, words)], stdout=stream, stderr=subprocess.STDOUT, env=environment, close_fds=False
        )
        try:
            while process.poll() is None:
                watch()
                time.sleep(0.3)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        tail = log.read_text(errors='replace').splitlines()[-_LOG_TAIL:]
        raise RunError('\n'.join(tail + [f'{words[0]} failed (exit status {process.returncode}); the whole log: {log}']))


def curve(folder: Path) -> list[dict]:
    """The scalars that a training logged, in order: dicts with `step` and values by name."""
    rows = []
    for path in sorted((folder / 'train').glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # a line being written
                rows.append(json.loads(line))
    return rows


def _step(train: Path) -> int:
    """The latest logged iteration, from the end of the file alone."""
    for path in train.glob('*/vis_data/scalars.json'):
        with path.open('rb') as stream:
            stream.seek(max(path.stat().st_size - 8192, 0))
            for line in reversed(stream.read().splitlines()):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    return json.loads(line)['step']
    return 0


@contextlib.contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """Holds a folder against a second comparison. Processes started meanwhile hold it too, so a survivor of a killed one is noticed.

    Raises:
        ValueError: another process holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / '.lock').open('w') as stream:
        os.set_inheritable(stream.fileno(), True)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f'another comparison runs in {out}; wait for it, end it, or choose another folder with --out') from None
        yield
