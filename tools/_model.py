"""What the tools that open a trained model share: its arguments, and loading it."""

import argparse
from pathlib import Path

import torch
from mmdet.apis import init_detector
from mmengine.config import Config, DictAction

from mmext_instseg.models.detectors import BottomUpSegmentor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, CHECKPOINT, --device and --cfg-options."""
    parser.add_argument('config', type=Path, metavar='CONFIG')
    parser.add_argument('checkpoint', type=Path, metavar='CHECKPOINT', help='weights of that config')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default here: %(default)s')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='overrides of the config')


def load_model(args: argparse.Namespace) -> tuple[Config, BottomUpSegmentor]:
    """The config and its model, ready to predict.

    Raises:
        ValueError: the checkpoint isn't a file, or the model has no dense maps.
    """
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    if not args.checkpoint.is_file():
        raise ValueError(f'{args.checkpoint} is not a file; give the weights that a training left, such as iter_2000.pth')
    model = init_detector(cfg, str(args.checkpoint), device=args.device)
    if not isinstance(model, BottomUpSegmentor):
        raise ValueError(
            f'{args.config}: a {type(model).__name__} predicts no dense maps; this tool takes a BottomUpSegmentor. For pictures of '
            'other models use tools/test.py with --show-dir, for their AP tools/test.py'
        )
    return cfg, model
