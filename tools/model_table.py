"""Parameters and floating-point operations of each config's network, beside those of the first."""

import argparse
import sys
from pathlib import Path

from _arguments import image_size
from rich.console import Console
from rich.progress import track

from mmext_instseg.engine.benchmark import complexity_rows, count_complexity, read_model
from mmext_instseg.visualization import markdown_table, print_table, write_csv

EXAMPLE = """example:
  python tools/model_table.py mmdet::solov2/solov2_r50_fpn_1x_coco.py configs/aml_solov2/aml_solov2_r50*_40e_coco.py --out work_dirs/models

Nothing is run and no weights are read, so any size costs the same. FLOPs are two for a multiply-add, of convolutions and matrix products
alone, attention's included; mmdet's get_flops.py counts one for a multiply-add. Post-processing isn't in them. Ratios are to the first."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='files, or configs of a package such as mmdet::FOLDER/NAME.py')
    parser.add_argument('--size', type=image_size, default=(680, 1200), metavar='HxW', help='of the image (default: 680x1200)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the table as CSV and Markdown')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        configs = track(args.configs, 'Counting', console=Console(stderr=True))
        rows = complexity_rows([count_complexity(Path(path).stem, read_model(path), args.size) for path in configs])
        print_table(rows)
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            paths = [args.out / f'model_table.{ending}' for ending in ('csv', 'md')]
            write_csv(paths[0], rows)
            paths[1].write_text(f'{markdown_table(rows)}\n{args.size[0]}x{args.size[1]} pixels (height x width)\n')
            print(*paths, sep='\n')
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
