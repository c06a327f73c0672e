"""Whole networks: an embedding U-Net stage by stage, phrases of one image, and AML-SOLOv2 against mmdet's SOLOv2."""

import argparse
import contextlib
import io
from functools import partial
from pathlib import Path

from _arguments import image_size, positive

from mmext_instseg.engine import benchmark as engine

from .common import ROOT, SHOWN, Found, Parents, Suites, progress

EMBEDDING_STAGES = """What an image costs an embedding U-Net, stage by stage: the network; sampling (borders and sample); DBSCAN of the
sample, with its eps and min_samples; assignment of the other pixels; masks (grouping, classes, scores, masks at the size of the image).
Weights are random, so the stages after the network get made-up embeddings as in embedding_decode, and classes to match. Each step is timed
where the codec calls it; first it must give the instances that it gives untimed, all K of them. The ratio is that of all after the network
to the first row, within a round: 1 where time is flat in K. The paper's own figure for all is 62 ms on a V100."""
SOLOV2 = """mmdet's SOLOv2, AML-SOLOv2 step by step and mmdet's Mask R-CNN, all of depth 50, as ratios to the first. `plain` is our head in
mmdet's network: with one state dict it must give the same outputs, losses and instances.

Weights are random, so the networks' own outputs mean nothing. Post-processing therefore gets made-up outputs: K instances, each found by
five cells of SOLO's grids, or by 1000 boxes in turn for Mask R-CNN. Every model must make K instances of them, the SOLOv2s the same ones.
A training step is loss, gradients and SGD at a learning rate of 0, on images with K instances of which a fifth shares its centre with
another one. ResNet's first stages are frozen and its batch norm is fixed, CSPAM is trained whole, as the configs say. Inference is
network and post-processing; the paper's own ratio for it is 1.41. Then the memory of position attention in training, at strides 32 to 4."""
PHRASES = """Instances of several phrases in one image: encoded once for all of them, as InstanceCLIPSeg does, against a loop that
encodes it anew for each; ratios are loop over ours. Weights are random, so no file is needed; the maps of every phrase must be the same
both ways."""
CLAIM = 1.41  # Table 2 of location_attention_solov2: 42.1 ms against 29.9 ms
CONFIGS = ROOT / 'configs'
AML = CONFIGS / 'aml_solov2'
EMBEDDING = CONFIGS / 'embedding_unet' / 'embedding_unet_200e_labelme-512.py'
CLIPSEG = CONFIGS / 'instance_clipseg' / 'instance_clipseg_c5_3e_lvis-352.py'
BASELINE, PLAIN = 'SOLOv2 (mmdet)', 'plain'
MODELS = {
    BASELINE: 'mmdet::solov2/solov2_r50_fpn_1x_coco.py',
    PLAIN: str(AML / 'aml_solov2_r50-plain_40e_coco.py'),
    '+ CSPAM': str(AML / 'aml_solov2_r50-cspam_40e_coco.py'),
    '+ TWFPN + CSMF': str(AML / 'aml_solov2_r50-cspam-twfpn-csmf_40e_coco.py'),
    '+ AML (ours)': str(AML / 'aml_solov2_r50_40e_coco.py'),
    'Mask R-CNN (mmdet)': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
}


def add_embedding_stages(suites: Suites, parents: Parents) -> None:
    words = dict(help='an image, network to masks', description=EMBEDDING_STAGES, **SHOWN)
    one = suites.add_parser('embedding_stages', parents=[parents.common], **words)
    one.add_argument('--config', type=Path, default=EMBEDDING, metavar='FILE', help=f'default: {EMBEDDING.relative_to(CONFIGS.parent)}')
    one.add_argument('--rounds', type=positive(int), default=5, metavar='N', help='in which each K runs once (default: %(default)s)')
    one.add_argument('--size', type=image_size, default=(512, 512), metavar='HxW', help='of the image (default: 512x512)')
    one.add_argument('--instances', nargs='+', type=positive(int), default=[10, 100, 1000], metavar='K', help='default: 10 100 1000')


def embedding_stages(args: argparse.Namespace) -> Found:
    with contextlib.redirect_stdout(io.StringIO()):  # mmengine's loggers
        model = engine.StagedModel(args.config, args.size, args.device)
    times = engine.time_stages(model, args.instances, args.rounds, progress('Timing stages'))
    rows = engine.stage_rows(times)
    note = '{}, {}x{} pixels (height x width), {} rounds'.format(args.config.stem, *args.size, args.rounds)
    return Found([rows], {'embedding_stages': rows}, note, partial(engine.plot_stages, times=times))


def add_phrases(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser('phrases', parents=[parents.paired], help='many phrases about one image', description=PHRASES, **SHOWN)
    one.add_argument('--config', type=Path, default=CLIPSEG, metavar='FILE', help=f'default: {CLIPSEG.relative_to(CONFIGS.parent)}')
    one.add_argument('--size', type=image_size, default=(352, 352), metavar='HxW', help='of the image (default: 352x352)')
    one.add_argument('--phrases', nargs='+', type=positive(int), default=[1, 4, 16, 64], metavar='P', help='default: 1 4 16 64')


def phrases(args: argparse.Namespace) -> Found:
    with contextlib.redirect_stdout(io.StringIO()):  # mmengine's loggers
        cases = list(engine.phrase_cases(engine.read_model(str(args.config)), args.size, args.phrases, args.device))
    found = [engine.measure(case, args.pairs, args.device, progress('{phrases} phrases'.format(**case.columns))) for case in cases]
    rows = engine.measurement_rows(found, 'loop')
    note = '{}, {}x{} pixels (height x width), {} pairs of runs a row'.format(args.config.stem, *args.size, args.pairs)
    series = {'phrases': [(one.columns['phrases'], one) for one in found]}
    return Found([rows], {'phrases': rows}, note, partial(engine.plot_measurements, series=series, baseline='loop'))


def add_solov2(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser('solov2', parents=[parents.common], help="AML-SOLOv2 against mmdet's SOLOv2", description=SOLOV2, **SHOWN)
    one.add_argument('--rounds', type=positive(int), default=5, metavar='N', help='in which every model runs once (default: %(default)s)')
    one.add_argument('--size', type=image_size, default=(680, 1200), metavar='HxW', help="of the images (default: 680x1200, the paper's)")
    one.add_argument('--instances', type=positive(int), default=30, metavar='K', help='on each image (default: %(default)s)')
    one.add_argument('--batch', type=positive(int), default=2, metavar='N', help='images of a training step (default: %(default)s)')
    one.add_argument('--amp', action='store_true', help='autocast: float16 on a GPU, bfloat16 on the CPU')


def solov2(args: argparse.Namespace) -> Found:
    setting = engine.Setting(args.size, args.instances, args.batch, args.device, args.amp)
    with contextlib.redirect_stdout(io.StringIO()):  # mmengine's loggers
        paths = progress('Building models')(MODELS.items())
        detectors = {name: engine.make_detector(name, engine.read_model(path), setting) for name, path in paths}
    engine.prove_equal(detectors[BASELINE], detectors[PLAIN])
    engine.check_results(list(detectors.values()), args.instances)
    for detector in detectors.values():
        detector.use_amp()
    laps = engine.run_race(list(detectors.values()), args.rounds, progress)
    attention = list(engine.attention_memory(args.size, (32, 16, 8, 4), args.device))
    files = {'solov2': engine.lap_rows(laps), 'solov2_attention': engine.attention_rows(attention)}
    note = '{}x{} pixels (height x width), {} instances, training {} images, {} rounds, {}'.format(
        *args.size, args.instances, args.batch, args.rounds, 'autocast' if args.amp else 'float32'
    )
    return Found([engine.race_rows(laps), files['solov2_attention']], files, note, partial(engine.plot_race, laps=laps, claim=CLAIM))
