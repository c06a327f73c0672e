"""The race of the model zoo."""

import argparse
import contextlib
import io
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from _arguments import image_size, positive

from mmext_instseg.engine.benchmark import TIMED, Entry, Truth, plot_zoo, run_zoo_race, zoo_csv, zoo_rows

from .common import ROOT, SHOWN, Found, Parents, Suites, progress

ZOO = """Any detectors of mmdet beside ours on the same images, in one run: network and post-processing as ratios to the whole of the
first one, parameters, the most memory that one image takes beside the weights, and AP / PQ of those with a checkpoint where annotations are
given. The first 16 images are timed; all of them count for AP / PQ, and nothing else of the annotations does.

Without CONFIG the ready lists run: `zoo` (mmdet's own configs, as installed) and `ours`. A detector that needs an op which mmcv-lite lacks
has a row that names the op. With random weights the outputs are noise, so their post-processing says nothing about a trained model; the
network's time doesn't depend on the weights, but for what follows proposals. Finding proposals belongs to the network, and so does
QueryInst's choice of boxes."""
_DCME, _PE = 'dcme/dcme_r50_80k_coco', 'pe_centroid/pe_centroid_vitb_46k_coco-420'
LISTS = {
    'zoo': {
        'SOLOv2 R50': 'mmdet::solov2/solov2_r50_fpn_1x_coco.py',
        'Mask R-CNN R50': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
        'MS R-CNN R50': 'mmdet::ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py',
        'QueryInst R50': 'mmdet::queryinst/queryinst_r50_fpn_1x_coco.py',
        'YOLACT R101': 'mmdet::yolact/yolact_r101_1xb8-55e_coco.py',
        'YOLACT R50': 'mmdet::yolact/yolact_r50_1xb8-55e_coco.py',
        'RTMDet-Ins s': 'mmdet::rtmdet/rtmdet-ins_s_8xb32-300e_coco.py',
        'CondInst R50': 'mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
        'Mask2Former R50': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    },
    'ours': {
        'AML-SOLOv2 R50': str(ROOT / 'configs/aml_solov2/aml_solov2_r50_40e_coco.py'),
        'DCME R50': str(ROOT / f'configs/{_DCME}.py'),
        'PE-centroid ViT-B': str(ROOT / f'configs/{_PE}.py'),
        'Embedding U-Net': str(ROOT / 'configs/embedding_unet/embedding_unet_200e_labelme-512.py'),
        'InstanceCLIPSeg C5': str(ROOT / 'configs/instance_clipseg/instance_clipseg_c5_3e_lvis-352.py'),
    },
}


def add_zoo(suites: Suites, parents: Parents) -> None:
    one = suites.add_parser('zoo', parents=[parents.common], help="any of mmdet's detectors beside ours", description=ZOO, **SHOWN)
    one.add_argument('configs', nargs='*', metavar='CONFIG', help='files, or configs of a package such as mmdet::FOLDER/NAME.py')
    one.add_argument('--lists', nargs='*', choices=LISTS, metavar='LIST', help='zoo, ours or both; default: both, beside CONFIG none')
    one.add_argument('--checkpoints', nargs='*', type=Path, default=[], metavar='FILE', help='of CONFIG ..., in their order; - for none')
    one.add_argument('--images', nargs='+', type=Path, metavar='FILE', help='default: two made-up ones of 480x640')
    one.add_argument('--size', type=image_size, metavar='HxW', help="that every detector gets; default: its own test pipeline's")
    one.add_argument('--ann', type=Path, metavar='JSON', help="COCO file of the images' instances, for AP")
    one.add_argument('--panoptic', type=Path, metavar='JSON', help='COCO panoptic file, its PNGs in the folder of its name, for PQ')
    one.add_argument('--phrases', nargs='+', default=['object'], metavar='TEXT', help='for detectors that take text (default: object)')
    one.add_argument('--rounds', type=positive(int), default=3, metavar='N', help='each runs every detector (default: %(default)s)')


def zoo(args: argparse.Namespace) -> Found:
    entries, truth = choose_entries(args), Truth(args.ann, args.panoptic)
    if lacking := [path for path in (*(args.images or ()), args.ann, args.panoptic) if path is not None and not path.is_file()]:
        raise ValueError(f'{lacking[0]} is not a file')
    with tempfile.TemporaryDirectory() as folder:
        images = args.images or made_up_images(Path(folder))
        race = partial(run_zoo_race, truth=truth, phrases=tuple(args.phrases), progress=progress)
        with contextlib.redirect_stdout(io.StringIO()):  # what loggers and pycocotools print
            standings = race(entries, images, args.size, args.rounds, args.device)
    size = 'as each test pipeline says' if args.size is None else '{}x{} pixels (height x width)'.format(*args.size)
    note = f'{len(images)} images, {size}, {args.rounds} rounds'
    if len(images) > TIMED:
        note += f' of the first {TIMED}'
    if any(entry.checkpoint is None for entry in entries):
        note += '; random weights, so the post-processing of those works on noise'
    rows = zoo_rows(standings)
    return Found([rows], {'zoo': zoo_csv(standings)}, note, partial(plot_zoo, standings=standings))


def choose_entries(args: argparse.Namespace) -> list[Entry]:
    """The detectors in order: the first is what the others are measured by."""
    if len(args.checkpoints) not in (0, len(args.configs)):
        raise ValueError(f'{len(args.checkpoints)} checkpoints for {len(args.configs)} configs; give one each, - where there is none')
    files = [None if str(path) == '-' else path for path in args.checkpoints] or [None] * len(args.configs)
    if lacking := [path for path in files if path is not None and not path.is_file()]:
        raise ValueError(f'{lacking[0]} is not a file')
    chosen = args.lists if args.lists is not None else [] if args.configs else list(LISTS)
    own = [Entry(Path(path.split('::')[-1]).stem, path, file) for path, file in zip(args.configs, files, strict=True)]
    return own + [Entry(name, path) for one in chosen for name, path in LISTS[one].items()]


def made_up_images(folder: Path) -> list[Path]:
    """Two images of noise at four scales."""
    generator = np.random.default_rng(0)
    paths = [folder / f'{number}.png' for number in range(2)]
    for path in paths:
        image = np.zeros((480, 640, 3))
        for cell in (2, 8, 32, 128):
            noise = generator.integers(0, 256, (480 // cell + 1, 640 // cell + 1, 3), dtype=np.uint8)
            image += cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC) / 4
        cv2.imwrite(str(path), image.astype(np.uint8))
    return paths
