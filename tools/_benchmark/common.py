"""What the suites of tools/benchmark.py share."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _arguments import positive
from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = """example:
  python tools/benchmark.py decode --out work_dirs/benchmark
  python tools/benchmark.py decode --sizes 1024x2048 --instances 1 100 --device cuda
  python tools/benchmark.py pe_decode --pairs 1 --out work_dirs/benchmark
  python tools/benchmark.py embedding_decode --out work_dirs/benchmark
  python tools/benchmark.py embedding_stages --device cuda
  python tools/benchmark.py embedding_losses --instances 10 200
  python tools/benchmark.py phrases --size 224x224 --pairs 1
  python tools/benchmark.py targets --out work_dirs/benchmark
  python tools/benchmark.py solov2 --size 256x448 --out work_dirs/benchmark
  python tools/benchmark.py solov2 --device cuda --amp --rounds 20
  python tools/benchmark.py zoo --size 272x480 --rounds 1 --out work_dirs/benchmark
  python tools/benchmark.py zoo MINE.py mmdet::solov2/solov2_r50_fpn_1x_coco.py --checkpoints MINE.pth - --images *.jpg --ann val.json

What must give the same result does, else nothing is timed. The ways run in turn, round by round, so that whatever else the machine does
weighs on all: trust the ratios (median, lowest and highest round) rather than the milliseconds. On a busy machine set OMP_NUM_THREADS=1:
then the process's own time counts, not the wall's. Memory is the most that torch's allocator held at once for one run, inputs and weights
not counted. With --out also tables (CSV and Markdown) and a plot."""
SHOWN: dict[str, Any] = dict(epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
Suites = argparse._SubParsersAction


@dataclass
class Found:
    """What a suite has to show.

    Attributes:
        tables: for the terminal and Markdown.
        files: CSV, by stem.
        note: what a row is made of.
        plot: writes the plot.
    """

    tables: list[list[list[str]]]
    files: dict[str, list[list[str]]]
    note: str
    plot: Callable[[Path], None]


class Parents(NamedTuple):
    """Parsers of what several suites take; `paired` has the number of pairs of runs as well."""

    common: argparse.ArgumentParser
    paired: argparse.ArgumentParser


def make_parents() -> Parents:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--device', type=device, default='cpu', help='default: %(default)s')
    common.add_argument('--out', type=Path, metavar='DIR', help='folder for tables and plot')
    paired = argparse.ArgumentParser(add_help=False, parents=[common])
    paired.add_argument('--pairs', type=positive(int), default=5, metavar='N', help='pairs of runs a row (default: %(default)s)')
    return Parents(common, paired)


def device(text: str) -> torch.device:
    if not re.fullmatch(r'cpu|cuda(:\d+)?', text):
        raise argparse.ArgumentTypeError(f'{text} is not cpu, cuda or cuda:N')
    if text != 'cpu' and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError(f'{text}: torch finds no GPU here; leave --device out for the CPU')
    return torch.device(text)


def progress(title: str) -> Callable:
    """What wraps an iterable to show progress under a title."""
    return partial(track, description=title, console=Console(stderr=True))
