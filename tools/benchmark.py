"""Speed and memory of a part of this package against a plain way to do the same, in one run on this machine."""

import argparse
import os
import re
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # torch's profiler: CUDA builds complain where there is no GPU

import torch
from _arguments import positive
from rich.console import Console
from rich.progress import track

from mmext_instseg.engine.benchmark import (
    USUAL,
    Measurement,
    decode_cases,
    describe_machine,
    measure,
    measurement_rows,
    plot_measurements,
)
from mmext_instseg.visualization import markdown_table, print_table, write_csv

EXAMPLE = """example:
  python tools/benchmark.py decode --out work_dirs/benchmark
  python tools/benchmark.py decode --sizes 1024x2048 --instances 1 100 --device cuda

Both ways must give the same result, else nothing is timed. They run in turn, pair by pair, so that whatever else the machine does weighs
on both: trust the ratios (baseline over ours; median, lowest and highest pair) rather than the milliseconds. Memory is the most that
torch's allocator held at once for one run, inputs not counted. With --out also SUITE.csv, SUITE.md and SUITE.png."""
DECODE = f"""Decoding of DCME against the same decoder as a loop over instances. The first size is decoded with every number of
instances, the other sizes with {USUAL}; about half of the pixels are foreground everywhere."""


def parse_args() -> argparse.Namespace:
    shown = dict(epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser = argparse.ArgumentParser(description=__doc__, **shown)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--pairs', type=positive(int), default=5, metavar='N', help='pairs of runs a row (default: %(default)s)')
    common.add_argument('--device', type=device, default='cpu', help='default: %(default)s')
    common.add_argument('--out', type=Path, metavar='DIR', help='folder for table and plot')
    suites = parser.add_subparsers(dest='suite', required=True, metavar='SUITE')
    decode = suites.add_parser('decode', parents=[common], help='DCME against a loop over instances', description=DECODE, **shown)
    sizes = [(512, 1024), (256, 512), (1024, 2048)]
    decode.add_argument('--sizes', nargs='+', type=size, default=sizes, metavar='HxW', help='default: 512x1024 256x512 1024x2048')
    decode.add_argument(
        '--instances', nargs='+', type=positive(int), default=[1, 10, 100, 1000], metavar='K', help='default: 1 10 100 1000'
    )
    return parser.parse_args()


def size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text} is not a size such as 512x1024 (height x width)')
    return int(found[1]), int(found[2])


def device(text: str) -> torch.device:
    if not re.fullmatch(r'cpu|cuda(:\d+)?', text):
        raise argparse.ArgumentTypeError(f'{text} is not cpu, cuda or cuda:N')
    if text != 'cpu' and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError(f'{text}: torch finds no GPU here; leave --device out for the CPU')
    return torch.device(text)


def decode(args: argparse.Namespace) -> tuple[list[Measurement], dict[str, list]]:
    """The measurements, and what of them to plot."""
    measurements = []
    for case in decode_cases(args.sizes, args.instances, args.device):
        title = '{size}, {instances} instances'.format(**case.columns)
        progress = partial(track, description=title, console=Console(stderr=True))
        measurements.append(measure(case, args.pairs, args.device, progress))
    by_instances = [(one.columns['instances'], one) for one in measurements[: len(args.instances)]]
    usual = [one for one in measurements if one.columns['instances'] == USUAL]
    by_pixels = {'pixels': [(one.pixels, one) for one in usual]} if len(usual) > 1 else {}
    return measurements, {'instances': by_instances, **by_pixels}


SUITES = {'decode': (decode, 'loop')}


def main() -> None:
    args = parse_args()
    run, baseline = SUITES[args.suite]
    try:
        measurements, series = run(args)
        rows, machine = measurement_rows(measurements, baseline), describe_machine(args.device)
        print_table(rows)
        print(f'{args.pairs} pairs of runs a row; {machine}')
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            paths = [args.out / f'{args.suite}.{ending}' for ending in ('csv', 'md', 'png')]
            write_csv(paths[0], rows)
            paths[1].write_text(f'{markdown_table(rows)}\n{args.pairs} pairs of runs a row; {machine}\n')
            plot_measurements(paths[2], series, baseline)
            print(*paths, sep='\n')
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
