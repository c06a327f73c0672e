"""Decoders, losses and targets against a plain way to do the same: pairs of runs."""

import argparse
from functools import partial

from _arguments import image_size, positive

from mmext_instseg.engine.benchmark import (
    USUAL,
    Measurement,
    decode_cases,
    embedding_decode_cases,
    embedding_loss_cases,
    extrapolate,
    measure,
    measurement_rows,
    pe_decode_cases,
    plot_measurements,
    target_cases,
)

from .common import SHOWN, Found, Parents, Suites, progress

DECODE = f"""Decoding of DCME against the same decoder as a loop over instances; ratios are baseline over ours. The first size is decoded
with every number of instances, the other sizes with {USUAL}; about half of the pixels are foreground everywhere."""
PE_DECODE = """Decoding of PE-centroid against a search of the whole grid by every pixel, against that and a loop over candidates and
instances, and against the loop after our search; ratios are baseline over ours. About half of the pixels are foreground; the codes have
noise of 0.1. The sizes and grids go in pairs; the whole grid of 160x320 takes ten seconds a run on one core."""
EMBEDDING_DECODE = """Decoding of embeddings against the same with every pixel compared to every core, and, for few pixels, against DBSCAN
of all of them; ratios are baseline over ours. 30 % of the pixels are foreground, 1 % of them strays. The time and memory of DBSCAN grow by
the square of the pixels; what it would take at the first size is extrapolated so."""
EMBEDDING_LOSSES = """The discriminative loss and its three alternatives, forward and backward, against the same written out instance by
instance; ratios are baseline over ours. Losses and gradients must agree. One image, 32 dimensions, 30 % of its pixels in instances."""
TARGETS = """SOLO's targets of a batch, from annotations to cells and masks, against mmdet's, instance by instance; ratios are baseline over
ours. A fifth of the instances shares its centre with another one."""


def add_decode(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser('decode', parents=[parents.paired], help='DCME against a loop over instances', description=DECODE, **SHOWN)
    sizes = [(512, 1024), (256, 512), (1024, 2048)]
    one.add_argument('--sizes', nargs='+', type=image_size, default=sizes, metavar='HxW', help='default: 512x1024 256x512 1024x2048')
    one.add_argument('--instances', nargs='+', type=positive(int), default=[1, 10, 100, 1000], metavar='K', help='default: 1 10 100 1000')


def decode(args: argparse.Namespace) -> Found:
    measurements = []
    for case in decode_cases(args.sizes, args.instances, args.device):
        measurements.append(measure(case, args.pairs, args.device, progress('{size}, {instances} instances'.format(**case.columns))))
    by_instances = [(one.columns['instances'], one) for one in measurements[: len(args.instances)]]
    usual = [one for one in measurements if one.columns['instances'] == USUAL]
    by_pixels = {'pixels': [(one.pixels, one) for one in usual]} if len(usual) > 1 else {}
    rows = measurement_rows(measurements, 'loop')
    plot = partial(plot_measurements, series={'instances': by_instances, **by_pixels}, baseline='loop')
    return Found([rows], {'decode': rows}, f'{args.pairs} pairs of runs a row', plot)


def add_pe_decode(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser('pe_decode', parents=[parents.paired], help='PE-centroid against searching all', description=PE_DECODE, **SHOWN)
    sizes, grids = [(480, 480), (448, 896)], [(80, 80), (160, 320)]
    one.add_argument('--sizes', nargs='+', type=image_size, default=sizes, metavar='HxW', help='of the maps; default: 480x480 448x896')
    one.add_argument('--grids', nargs='+', type=image_size, default=grids, metavar='RxC', help='rows x columns; default: 80x80 160x320')
    one.add_argument('--instances', nargs='+', type=positive(int), default=[1, 10, 100], metavar='K', help='default: 1 10 100')


def pe_decode(args: argparse.Namespace) -> Found:
    if len(args.sizes) != len(args.grids):
        raise ValueError(f'--sizes and --grids go in pairs; these are {len(args.sizes)} and {len(args.grids)}')
    measurements: dict[str, list[Measurement]] = {}
    for baseline, case in pe_decode_cases(list(zip(args.sizes, args.grids, strict=True)), args.instances, args.device):
        title = '{size}, {instances} instances, {baseline}'.format(**case.columns, baseline=baseline)
        measurements.setdefault(baseline, []).append(measure(case, args.pairs, args.device, progress(title)))
    tables = {f'pe_decode_{name.replace(" ", "_")}': measurement_rows(found, name) for name, found in measurements.items()}
    first = len(args.instances)
    series = {f'instances, {name}': [(one.columns['instances'], one) for one in found[:first]] for name, found in measurements.items()}
    plot = partial(plot_measurements, series=series, baseline='the other')
    return Found(list(tables.values()), tables, f'{args.pairs} pairs of runs a row', plot)


def add_embedding_decode(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser(
        'embedding_decode', parents=[parents.paired], help='embeddings against DBSCAN of all pixels', description=EMBEDDING_DECODE, **SHOWN
    )
    one.add_argument('--sizes', nargs='+', type=image_size, default=[(512, 512)], metavar='HxW', help='of the maps; default: 512x512')
    one.add_argument('--instances', nargs='+', type=positive(int), default=[10, 30, 100, 1000], metavar='K', help='default: 10 30 100 1000')
    points = [2000, 4000, 8000, 16000]
    one.add_argument(
        '--points', nargs='+', type=positive(int), default=points, metavar='N', help='of DBSCAN; default: 2000 4000 8000 16000'
    )


def embedding_decode(args: argparse.Namespace) -> Found:
    measurements: dict[str, list[Measurement]] = {}
    for baseline, case in embedding_decode_cases(args.sizes, args.instances, args.points, args.device):
        title = '{size}, {instances} instances, {baseline}'.format(**case.columns, baseline=baseline)
        measurements.setdefault(baseline, []).append(measure(case, args.pairs, args.device, progress(title)))
    tables = {f'embedding_decode_{name.replace(" ", "_")}': measurement_rows(found, name) for name, found in measurements.items()}
    first = measurements['all cores'][: len(args.instances)]
    series = {
        'instances': [(one.columns['instances'], one) for one in first],
        'pixels, full DBSCAN': [(one.columns['points'], one) for one in measurements['full DBSCAN']],
    }
    most = max(one.columns['points'] for one in first)
    seconds = extrapolate(measurements['full DBSCAN'], most)
    note = f'{args.pairs} pairs of runs a row; full DBSCAN of {most:,} pixels would take {seconds:.2g} s, by the square of its last row'
    return Found(list(tables.values()), tables, note, partial(plot_measurements, series=series, baseline='all cores, full DBSCAN'))


def add_embedding_losses(suites: Suites, parents: Parents) -> None:
    words = dict(help='losses against a loop over instances', description=EMBEDDING_LOSSES, **SHOWN)
    one = suites.add_parser('embedding_losses', parents=[parents.paired], **words)
    one.add_argument('--size', type=image_size, default=(512, 512), metavar='HxW', help='of the maps (default: 512x512)')
    one.add_argument('--instances', nargs='+', type=positive(int), default=[200], metavar='K', help='default: 200')


def embedding_losses(args: argparse.Namespace) -> Found:
    series: dict[str, list[tuple[int, Measurement]]] = {}
    for name, case in embedding_loss_cases(args.size, args.instances, args.device):
        title = '{loss}, {size}, {instances} instances'.format(**case.columns)
        series.setdefault(name, []).append((case.columns['instances'], measure(case, args.pairs, args.device, progress(title))))
    rows = measurement_rows([one for points in series.values() for _, one in points], 'loop')
    plot = partial(plot_measurements, series={f'instances, {name}': points for name, points in series.items()}, baseline='loop')
    return Found([rows], {'embedding_losses': rows}, f'{args.pairs} pairs of runs a row', plot)


def add_targets(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser('targets', parents=[parents.paired], help="SOLO's targets against mmdet's", description=TARGETS, **SHOWN)
    one.add_argument('--size', type=image_size, default=(800, 1344), metavar='HxW', help='of the images (default: 800x1344)')
    one.add_argument('--instances', nargs='+', type=positive(int), default=[1, 10, 100], metavar='K', help='an image; default: 1 10 100')
    one.add_argument('--batch', type=positive(int), default=2, metavar='N', help='images (default: %(default)s)')


def targets(args: argparse.Namespace) -> Found:
    measurements = []
    for case in target_cases(args.size, args.instances, args.batch, args.device):
        measurements.append(measure(case, args.pairs, args.device, progress('{instances} instances'.format(**case.columns))))
    rows = measurement_rows(measurements, 'mmdet')
    series = {'instances': [(one.columns['instances'], one) for one in measurements]}
    plot = partial(plot_measurements, series=series, baseline='mmdet')
    return Found([rows], {'targets': rows}, f'{args.pairs} pairs of runs a row', plot)
