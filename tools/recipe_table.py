"""What each recipe costs to train, computed from its config: images, FLOPs, GPU-hours and memory, in Markdown."""

import argparse
import sys
from pathlib import Path

import yaml
from _arguments import positive
from mmengine.config import Config
from rich.console import Console
from rich.progress import track

from mmext_instseg.engine.benchmark import Complexity, count_complexity, read_config
from mmext_instseg.visualization import markdown_table

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = """example:
  python tools/recipe_table.py --tflops 40 --out table.md
  python tools/recipe_table.py configs/pe_centroid/pe_centroid_vitb_46k_coco-420.py

Nothing is run and nothing is measured. GPU-hours = 3 x FLOPs of an image x images / (TFLOP/s that the GPU really does): 3 for forward and
backward, too many where towers are frozen; post-processing, data loading and validation aren't in it. FLOPs are those of convolutions and
matrix products at the size named (the middle one of several). The state is weights, gradients and what the optimiser keeps, in float32.
Activations are what autograd keeps of one image's forward pass, in float32: times the batch of a GPU they come on top; losses, temporary
tensors and the allocator's reserve do as well."""
#: Published sizes of training sets, before images without objects are left out; and (height, width) of a usual image.
IMAGES = {'coco': (118_287, (480, 640)), 'lvis': (100_170, (480, 640)), 'cityscapes': (2_975, (1024, 2048))}
SLOTS = {'AdamW': 2, 'Adam': 2, 'SGD': 1}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', type=Path, metavar='CONFIG', help='default: every recipe that is not for a CPU')
    parser.add_argument('--tflops', type=positive(float), default=40.0, metavar='X', help='assumed of the GPU (default: %(default)s)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='Markdown file in place of the terminal')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        models = [model for file in metafiles() for model in yaml.safe_load(file.read_text())['Models']]
        paths = [path.resolve() for path in args.configs] or [ROOT / model['Config'] for model in models if not on_cpu(model)]
        rows = [['config', 'images', 'H x W', 'GFLOPs an image', f'GPU-hours at {args.tflops:g} TFLOP/s', 'state/GiB', 'activations/GiB']]
        rows += [recipe_row(path, args.tflops) for path in track(paths, 'Counting', console=Console(stderr=True))]
        text = markdown_table(rows)
        if not args.configs:
            text += f'\nOn two CPU cores, or testing alone:\n\n{markdown_table(cpu_rows(models))}'
        if args.out is None:
            print(text, end='')
        else:
            args.out.write_text(text)
            print(args.out)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


def metafiles() -> list[Path]:
    return [ROOT / name for name in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']]


def on_cpu(model: dict) -> bool:
    """Configs that train on a CPU or only test: no recipe to be computed."""
    return any(word in model['Name'] for word in ('tiny', 'shapes', 'test-', 'buildings'))


def cpu_rows(models: list[dict]) -> list[list[str]]:
    """Length and, where it was trained, what was measured, as the metafiles say."""
    rows = [['config', 'length', 'batch', 'measured']]
    for model in filter(on_cpu, models):
        meta, found = model['Metadata'], [f'{key} {value}' for one in model.get('Results') or () for key, value in one['Metrics'].items()]
        length = f'{meta["Iterations"]} iterations' if 'Iterations' in meta else f'{meta.get("Epochs", 0)} epochs'
        rows.append([model['Name'], length, str(meta.get('Batch Size', '')), ', '.join(found)])
    return rows


def recipe_row(path: Path, tflops: float) -> list[str]:
    """What can be computed; an empty cell for what depends on the user's data, and the reason where nothing can."""
    config = read_config(str(path))
    images, size = num_images(config), input_size(config)
    sides = f'{size[0]} x {size[1]}'
    try:
        complexity = counted(config.model, size)
    except KeyError:
        return [path.stem, f'{images:,}' if images else '', sides, f"not computed: no detector of mmdet's, {config.model.type}", '', '', '']
    flops = sum(complexity.flops.values())
    hours = 3 * flops * (images or 0) / (tflops * 1e12) / 3600
    slots = 1 + SLOTS.get(config.optim_wrapper.optimizer.type, 2)
    state = 4 * (sum(complexity.parameters.values()) + slots * complexity.trained)
    return [
        path.stem,
        f'{images:,}' if images else '',
        sides,
        f'{flops / 1e9:,.0f}',
        f'{hours:,.1f}' if images else '',
        f'{state / 2**30:.1f}',
        f'{complexity.activations / 2**30:.2f}',
    ]


def counted(model: dict, size: tuple[int, int], known: dict[str, Complexity] = {}) -> Complexity:
    """Recipes that differ in losses and decoding alone are counted once."""
    key = f'{without_losses(model)} {size}'
    if key not in known:
        known[key] = count_complexity('', model, size)
    return known[key]


def without_losses(config: object) -> object:
    if isinstance(config, dict):
        return {
            key: without_losses(value) for key, value in config.items() if not key.startswith('loss') and key not in ('test_cfg', 'edge')
        }
    return config


def num_images(config: Config) -> int | None:
    """Images that a training sees; None where epochs of the user's own data are counted."""
    iterations, epochs = config.train_cfg.get('max_iters'), config.train_cfg.get('max_epochs')
    if iterations:
        return iterations * config.auto_scale_lr.base_batch_size
    known = data_of(config)
    return epochs * IMAGES[known][0] if known else None


def data_of(config: Config) -> str | None:
    first = first_dataset(config)
    text = f'{first.get("ann_file")} {first.get("data_root")} {first.type}'.lower()
    return next((name for name in ('lvis', 'cityscapes', 'coco') if name in text.replace('cocodataset', '')), None)


def first_dataset(config: Config) -> dict:
    """The data set, or the first of those that are mixed: without what wraps it."""
    dataset = config.train_dataloader.dataset
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return dataset


def input_size(config: Config) -> tuple[int, int]:
    """(H, W) that the training pipeline leaves of a usual image of the data; of several scales the middle one."""
    size = IMAGES[data_of(config) or 'coco'][1]
    for step in first_dataset(config).get('pipeline', []):
        scale = step.get('scale') or (step['scales'][len(step['scales']) // 2] if 'scales' in step else None)
        if scale is not None and step.get('keep_ratio', True):
            factor = min(max(scale) / max(size), min(scale) / min(size))
            size = (round(size[0] * factor), round(size[1] * factor))
        elif scale is not None:
            size = (scale[1], scale[0])
        if 'crop_size' in step:
            crop = step['crop_size']
            size = tuple(round(side * part) if isinstance(part, float) else part for side, part in zip(size, crop, strict=True))
    return size


if __name__ == '__main__':
    main()
