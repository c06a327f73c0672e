"""Speed and memory of a part of this package against a plain way to do the same, in one run on this machine."""

import argparse
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # torch's profiler: CUDA builds complain where there is no GPU

import torch
from _arguments import image_size, positive
from rich.console import Console
from rich.progress import track

from mmext_instseg.engine.benchmark import (
    USUAL,
    Measurement,
    Setting,
    StagedModel,
    attention_memory,
    attention_rows,
    check_results,
    decode_cases,
    describe_machine,
    embedding_decode_cases,
    embedding_loss_cases,
    extrapolate,
    lap_rows,
    make_detector,
    measure,
    measurement_rows,
    pe_decode_cases,
    plot_measurements,
    plot_race,
    plot_stages,
    prove_equal,
    race_rows,
    read_model,
    run_race,
    stage_rows,
    target_cases,
    time_stages,
)
from mmext_instseg.visualization import markdown_table, print_table, write_csv

EXAMPLE = """example:
  python tools/benchmark.py decode --out work_dirs/benchmark
  python tools/benchmark.py decode --sizes 1024x2048 --instances 1 100 --device cuda
  python tools/benchmark.py pe_decode --pairs 1 --out work_dirs/benchmark
  python tools/benchmark.py embedding_decode --out work_dirs/benchmark
  python tools/benchmark.py embedding_stages --device cuda
  python tools/benchmark.py embedding_losses --instances 10 200
  python tools/benchmark.py targets --out work_dirs/benchmark
  python tools/benchmark.py solov2 --size 256x448 --out work_dirs/benchmark
  python tools/benchmark.py solov2 --device cuda --amp --rounds 20

What must give the same result does, else nothing is timed. The ways run in turn, round by round, so that whatever else the machine does
weighs on all: trust the ratios (median, lowest and highest round) rather than the milliseconds. On a busy machine set OMP_NUM_THREADS=1:
then the process's own time counts, not the wall's. Memory is the most that torch's allocator held at once for one run, inputs and weights
not counted. With --out also tables (CSV and Markdown) and a plot."""
DECODE = f"""Decoding of DCME against the same decoder as a loop over instances; ratios are baseline over ours. The first size is decoded
with every number of instances, the other sizes with {USUAL}; about half of the pixels are foreground everywhere."""
PE_DECODE = """Decoding of PE-centroid against a search of the whole grid by every pixel, and against a loop over instances; ratios are
baseline over ours. About half of the pixels are foreground; the codes have noise of 0.1. The sizes and grids go in pairs; the whole grid of
160x320 takes ten seconds a run on one core."""
EMBEDDING_DECODE = """Decoding of embeddings against the same with every pixel compared to every core, and, for few pixels, against DBSCAN
of all of them; ratios are baseline over ours. 30 % of the pixels are foreground, 1 % of them strays. The time and memory of DBSCAN grow by
the square of the pixels; what it would take at the first size is extrapolated so."""
EMBEDDING_STAGES = """What an image costs an embedding U-Net, stage by stage: the network; sampling (borders and sample); DBSCAN of the
sample, with its eps and min_samples; assignment of the other pixels; masks (grouping, classes, scores, masks at the size of the image).
Weights are random, so the stages after the network get made-up embeddings as in embedding_decode, and classes to match. Each step is timed
where the codec calls it; first it must give the instances that it gives untimed, all K of them. The ratio is that of all after the network
to the first row, within a round: 1 where time is flat in K. The paper's own figure for all is 62 ms on a V100."""
EMBEDDING_LOSSES = """The discriminative loss and its three alternatives, forward and backward, against the same written out instance by
instance; ratios are baseline over ours. Losses and gradients must agree. One image, 32 dimensions, 30 % of its pixels in instances."""
TARGETS = """SOLO's targets of a batch, from annotations to cells and masks, against mmdet's, instance by instance; ratios are baseline over
ours. A fifth of the instances shares its centre with another one."""
SOLOV2 = """mmdet's SOLOv2, AML-SOLOv2 step by step and mmdet's Mask R-CNN, all of depth 50, as ratios to the first. `plain` is our head in
mmdet's network: with one state dict it must give the same outputs, losses and instances.

Weights are random, so the networks' own outputs mean nothing. Post-processing therefore gets made-up outputs: K instances, each found by
five cells of SOLO's grids, or by 1000 boxes in turn for Mask R-CNN. Every model must make K instances of them, the SOLOv2s the same ones.
A training step is loss, gradients and SGD at a learning rate of 0, on images with K instances of which a fifth shares its centre with
another one. The first stages are frozen and batch norm is fixed, as the configs of all six say. Inference is network and
post-processing; the paper's own ratio for it is 1.41. Then the memory of position attention in training, at strides 32 to 4."""
CLAIM = 1.41  # Table 2 of location_attention_solov2: 42.1 ms against 29.9 ms
CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
AML = CONFIGS / 'aml_solov2'
EMBEDDING = CONFIGS / 'embedding_unet' / 'embedding_unet_200e_labelme-512.py'
BASELINE, PLAIN = 'SOLOv2 (mmdet)', 'plain'
MODELS = {
    BASELINE: 'mmdet::solov2/solov2_r50_fpn_1x_coco.py',
    PLAIN: str(AML / 'aml_solov2_r50-plain_40e_coco.py'),
    '+ CSPAM': str(AML / 'aml_solov2_r50-cspam_40e_coco.py'),
    '+ TWFPN + CSMF': str(AML / 'aml_solov2_r50-cspam-twfpn-csmf_40e_coco.py'),
    '+ AML (ours)': str(AML / 'aml_solov2_r50_40e_coco.py'),
    'Mask R-CNN (mmdet)': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
}


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


def parse_args() -> argparse.Namespace:
    shown = dict(epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser = argparse.ArgumentParser(description=__doc__, **shown)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--device', type=device, default='cpu', help='default: %(default)s')
    common.add_argument('--out', type=Path, metavar='DIR', help='folder for tables and plot')
    paired = argparse.ArgumentParser(add_help=False, parents=[common])
    number = positive(int)
    paired.add_argument('--pairs', type=number, default=5, metavar='N', help='pairs of runs a row (default: %(default)s)')
    suites = parser.add_subparsers(dest='suite', required=True, metavar='SUITE')

    one = suites.add_parser('decode', parents=[paired], help='DCME against a loop over instances', description=DECODE, **shown)
    sizes = [(512, 1024), (256, 512), (1024, 2048)]
    one.add_argument('--sizes', nargs='+', type=image_size, default=sizes, metavar='HxW', help='default: 512x1024 256x512 1024x2048')
    one.add_argument('--instances', nargs='+', type=number, default=[1, 10, 100, 1000], metavar='K', help='default: 1 10 100 1000')

    one = suites.add_parser('pe_decode', parents=[paired], help='PE-centroid against searching all', description=PE_DECODE, **shown)
    sizes, grids = [(480, 480), (448, 896)], [(80, 80), (160, 320)]
    one.add_argument('--sizes', nargs='+', type=image_size, default=sizes, metavar='HxW', help='of the maps; default: 480x480 448x896')
    one.add_argument('--grids', nargs='+', type=image_size, default=grids, metavar='RxC', help='rows x columns; default: 80x80 160x320')
    one.add_argument('--instances', nargs='+', type=number, default=[1, 10, 100], metavar='K', help='default: 1 10 100')

    one = suites.add_parser(
        'embedding_decode', parents=[paired], help='embeddings against DBSCAN of all pixels', description=EMBEDDING_DECODE, **shown
    )
    one.add_argument('--sizes', nargs='+', type=image_size, default=[(512, 512)], metavar='HxW', help='of the maps; default: 512x512')
    one.add_argument('--instances', nargs='+', type=number, default=[10, 30, 100, 1000], metavar='K', help='default: 10 30 100 1000')
    points = [2000, 4000, 8000, 16000]
    one.add_argument('--points', nargs='+', type=number, default=points, metavar='N', help='for DBSCAN; default: 2000 4000 8000 16000')

    words = dict(help='an image, network to masks', description=EMBEDDING_STAGES, **shown)
    one = suites.add_parser('embedding_stages', parents=[common], **words)
    one.add_argument('--config', type=Path, default=EMBEDDING, metavar='FILE', help=f'default: {EMBEDDING.relative_to(CONFIGS.parent)}')
    one.add_argument('--rounds', type=number, default=5, metavar='N', help='in which each K runs once (default: %(default)s)')
    one.add_argument('--size', type=image_size, default=(512, 512), metavar='HxW', help='of the image (default: 512x512)')
    one.add_argument('--instances', nargs='+', type=number, default=[10, 100, 1000], metavar='K', help='default: 10 100 1000')

    words = dict(help='losses against a loop over instances', description=EMBEDDING_LOSSES, **shown)
    one = suites.add_parser('embedding_losses', parents=[paired], **words)
    one.add_argument('--size', type=image_size, default=(512, 512), metavar='HxW', help='of the maps (default: 512x512)')
    one.add_argument('--instances', nargs='+', type=number, default=[200], metavar='K', help='default: 200')

    one = suites.add_parser('targets', parents=[paired], help="SOLO's targets against mmdet's", description=TARGETS, **shown)
    one.add_argument('--size', type=image_size, default=(800, 1344), metavar='HxW', help='of the images (default: 800x1344)')
    one.add_argument('--instances', nargs='+', type=number, default=[1, 10, 100], metavar='K', help='an image; default: 1 10 100')
    one.add_argument('--batch', type=number, default=2, metavar='N', help='images (default: %(default)s)')

    one = suites.add_parser('solov2', parents=[common], help="AML-SOLOv2 against mmdet's SOLOv2", description=SOLOV2, **shown)
    one.add_argument('--rounds', type=number, default=5, metavar='N', help='in which every model runs once (default: %(default)s)')
    one.add_argument('--size', type=image_size, default=(680, 1200), metavar='HxW', help="of the images (default: 680x1200, the paper's)")
    one.add_argument('--instances', type=number, default=30, metavar='K', help='on each image (default: %(default)s)')
    one.add_argument('--batch', type=number, default=2, metavar='N', help='images of a training step (default: %(default)s)')
    one.add_argument('--amp', action='store_true', help='autocast: float16 on a GPU, bfloat16 on the CPU')
    return parser.parse_args()


def device(text: str) -> torch.device:
    if not re.fullmatch(r'cpu|cuda(:\d+)?', text):
        raise argparse.ArgumentTypeError(f'{text} is not cpu, cuda or cuda:N')
    if text != 'cpu' and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError(f'{text}: torch finds no GPU here; leave --device out for the CPU')
    return torch.device(text)


def progress(title: str) -> Callable:
    """What wraps an iterable to show progress under a title."""
    return partial(track, description=title, console=Console(stderr=True))


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
    plot = partial(plot_measurements, series=series, baseline='brute force, loop')
    return Found(list(tables.values()), tables, f'{args.pairs} pairs of runs a row', plot)


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


def embedding_stages(args: argparse.Namespace) -> Found:
    with contextlib.redirect_stdout(io.StringIO()):  # mmengine's loggers
        model = StagedModel(args.config, args.size, args.device)
    times = time_stages(model, args.instances, args.rounds, progress('Timing stages'))
    rows = stage_rows(times)
    note = '{}, {}x{} pixels (height x width), {} rounds'.format(args.config.stem, *args.size, args.rounds)
    return Found([rows], {'embedding_stages': rows}, note, partial(plot_stages, times=times))


def embedding_losses(args: argparse.Namespace) -> Found:
    series: dict[str, list[tuple[int, Measurement]]] = {}
    for name, case in embedding_loss_cases(args.size, args.instances, args.device):
        title = '{loss}, {size}, {instances} instances'.format(**case.columns)
        series.setdefault(name, []).append((case.columns['instances'], measure(case, args.pairs, args.device, progress(title))))
    rows = measurement_rows([one for points in series.values() for _, one in points], 'loop')
    plot = partial(plot_measurements, series={f'instances, {name}': points for name, points in series.items()}, baseline='loop')
    return Found([rows], {'embedding_losses': rows}, f'{args.pairs} pairs of runs a row', plot)


def targets(args: argparse.Namespace) -> Found:
    measurements = []
    for case in target_cases(args.size, args.instances, args.batch, args.device):
        measurements.append(measure(case, args.pairs, args.device, progress('{instances} instances'.format(**case.columns))))
    rows = measurement_rows(measurements, 'mmdet')
    series = {'instances': [(one.columns['instances'], one) for one in measurements]}
    plot = partial(plot_measurements, series=series, baseline='mmdet')
    return Found([rows], {'targets': rows}, f'{args.pairs} pairs of runs a row', plot)


def solov2(args: argparse.Namespace) -> Found:
    setting = Setting(args.size, args.instances, args.batch, args.device, args.amp)
    with contextlib.redirect_stdout(io.StringIO()):  # mmengine's loggers
        paths = progress('Building models')(MODELS.items())
        detectors = {name: make_detector(name, read_model(path), setting) for name, path in paths}
    prove_equal(detectors[BASELINE], detectors[PLAIN])
    check_results(list(detectors.values()), args.instances)
    for detector in detectors.values():
        detector.use_amp()
    laps = run_race(list(detectors.values()), args.rounds, progress)
    attention = list(attention_memory(args.size, (32, 16, 8, 4), args.device))
    files = {'solov2': lap_rows(laps), 'solov2_attention': attention_rows(attention)}
    note = '{}x{} pixels (height x width), {} instances, training {} images, {} rounds, {}'.format(
        *args.size, args.instances, args.batch, args.rounds, 'autocast' if args.amp else 'float32'
    )
    return Found([race_rows(laps), files['solov2_attention']], files, note, partial(plot_race, laps=laps, claim=CLAIM))


SUITES = {one.__name__: one for one in (decode, pe_decode, embedding_decode, embedding_stages, embedding_losses, targets, solov2)}


def main() -> None:
    args = parse_args()
    try:
        found, machine = SUITES[args.suite](args), describe_machine(args.device)
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
