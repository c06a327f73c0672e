"""A detector's network as ONNX, with what is needed to use it beside."""

import argparse
import sys
from pathlib import Path

from _model import load_detector
from mmengine.config import DictAction

from mmext_instseg.inference.onnx_check import parity_rows
from mmext_instseg.inference.onnx_export import export_onnx
from mmext_instseg.visualization import markdown_table, print_table

EXAMPLE = """examples:
  python tools/export_onnx.py configs/dcme/dcme_tiny_shapes.py work_dirs/first/iter_2000.pth --out exported
  python tools/export_onnx.py my_lvis.py work_dirs/my_lvis/epoch_3.pth --out exported --size 352 352 --text "a dog" "red cup"

Takes a BottomUpSegmentor, mmdet's SOLOv2 with our parts, or an InstanceCLIPSeg. OUT gets network.onnx, of an InstanceCLIPSeg
image_encoder.onnx and decoder.onnx with an embedding as input; network.json says how images are prepared and what the maps are. An export
that doesn't compute what PyTorch does, or fails, leaves no file. mmext_instseg.inference.onnx.OnnxSegmentor runs them."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=Path, metavar='CONFIG')
    parser.add_argument('checkpoint', type=Path, metavar='CHECKPOINT', help='weights of that config')
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='for the files')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help="of the network's input, in pixels; without it any size")
    parser.add_argument('--text', nargs='+', default=[], metavar='PHRASE', help='phrases whose embeddings are written along')
    parser.add_argument('--check', type=Path, nargs='+', metavar='IMAGE', help='compare with PyTorch on these images, and print a table')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='overrides of the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        cfg, detector = load_detector(args.config, args.checkpoint, 'cpu', args.cfg_options)
        written = export_onnx(detector, cfg, args.out, args.size and tuple(args.size), args.text)
        print(*written, sep='\n')
        if args.check:
            rows = parity_rows(detector, args.out, args.check)
            print_table(rows)
            (args.out / 'parity.md').write_text(markdown_table(rows))
            print(args.out / 'parity.md')
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
