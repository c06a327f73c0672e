"""Speed and memory of a part of this package against a plain way to do the same, in one run on this machine."""

import argparse
import os
import sys

os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # torch's profiler: CUDA builds complain where there is no GPU

from _benchmark import decoding, networks, zoo
from _benchmark.common import SHOWN, make_parents

from mmext_instseg.engine.benchmark import describe_machine
from mmext_instseg.visualization import markdown_table, print_table, write_csv

SUITES = {
    'decode': decoding,
    'pe_decode': decoding,
    'embedding_decode': decoding,
    'embedding_stages': networks,
    'embedding_losses': decoding,
    'phrases': networks,
    'targets': decoding,
    'solov2': networks,
    'zoo': zoo,
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, **SHOWN)
    suites = parser.add_subparsers(dest='suite', required=True, metavar='SUITE')
    parents = make_parents()
    for name, module in SUITES.items():
        getattr(module, f'add_{name}')(suites, parents)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        found, machine = getattr(SUITES[args.suite], args.suite)(args), describe_machine(args.device)
        for table in found.tables:
            print_table(table)
        note = f'{found.note}; {machine}'
        print(note)
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            paths = [args.out / f'{stem}.csv' for stem in found.files]
            for path, rows in zip(paths, found.files.values(), strict=True):
                write_csv(path, rows)
            paths += [args.out / f'{args.suite}.{ending}' for ending in ('md', 'png')]
            paths[-2].write_text('\n'.join(map(markdown_table, found.tables)) + f'\n{note}\n')
            found.plot(paths[-1])
            print(*paths, sep='\n')
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
