"""Runs scripts one after another in one process, each as the main program: importing mmdet costs more than most of them.

python run_in_turn.py PLAN.json, a list of {"name", "script", "arguments"}. What a script prints goes to NAME.txt beside the plan, with its
traceback where it fails; the scripts after it run all the same. `stand_in_for_tensorboard` is set up first.
"""

import contextlib
import glob
import json
import os
import runpy
import sys
import traceback
import types
from pathlib import Path


def stand_in_for_tensorboard(folder: Path) -> None:
    """torch's SummaryWriter as mmengine's TensorboardVisBackend sees it, writing a line a scalar: the package isn't among ours."""

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            self.path = folder / 'tensorboard.txt'

        def add_scalar(self, name: str, value: float, step: int) -> None:
            with self.path.open('a') as stream:
                stream.write(f'{name} {float(value)} {step}\n')

        def add_text(self, *args) -> None:
            pass

        def close(self) -> None:
            pass

    module = types.ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = SummaryWriter
    sys.modules[module.__name__] = module


@contextlib.contextmanager
def output_to(path: Path):
    """By file descriptor: loggers made earlier keep the old stream objects."""
    kept = [os.dup(number) for number in (1, 2)]
    with path.open('w') as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        try:
            yield
        except SystemExit as end:
            if end.code:
                print(f'Traceback: exit code {end.code}')
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)


def main() -> None:
    plan = Path(sys.argv[1]).resolve()
    sys.path.pop(0)  # this file's folder: no script of a user has it
    stand_in_for_tensorboard(plan.parent)
    for step in json.loads(plan.read_text()):
        words = [sorted(glob.glob(word))[0] if '*' in word else word for word in step['arguments']]  # folders named by the time
        sys.argv = [step['script'], *words]
        with output_to(plan.with_name(f'{step["name"]}.txt')):
            runpy.run_path(step['script'], run_name='__main__')


if __name__ == '__main__':
    main()
