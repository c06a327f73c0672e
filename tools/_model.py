"""What the tools that open a trained model share: its arguments, loading it, and the images that it is shown."""

import argparse
from pathlib import Path

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmext_instseg.inference import image_steps, open_detector
from mmext_instseg.models.detectors import BottomUpSegmentor
from mmext_instseg.registry import DATASETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, CHECKPOINT, --device and --cfg-options."""
    parser.add_argument('config', type=Path, metavar='CONFIG')
    parser.add_argument('checkpoint', type=Path, metavar='CHECKPOINT', help='weights of that config')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default here: %(default)s')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='overrides of the config')


def load_model(args: argparse.Namespace) -> tuple[Config, BottomUpSegmentor]:
    """The config and its model, ready to predict.

    Raises:
        ValueError: as `load_detector`; or the model has no dense maps.
    """
    cfg, model = load_detector(args.config, args.checkpoint, args.device, args.cfg_options)
    if not isinstance(model, BottomUpSegmentor):
        raise ValueError(
            f'{args.config}: a {type(model).__name__} predicts no dense maps; this tool takes a BottomUpSegmentor. For pictures of '
            'other models use tools/draw_side_by_side.py, for their AP tools/test.py'
        )
    return cfg, model


def load_detector(config: Path, checkpoint: Path, device: str, cfg_options: dict) -> tuple[Config, BaseDetector]:
    """The config and its model of any kind, ready to predict.

    Raises:
        ValueError: the checkpoint isn't a file, or of another model.
    """
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(cfg_options)
    return cfg, open_detector(cfg, checkpoint, device)


def open_samples(cfg: Config, images: list[Path], num: int) -> list:
    """Packed inputs of the model, made one by one as they are asked for: a sequence with a length."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    if not images:
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        chosen = np.linspace(0, len(dataset) - 1, min(num, len(dataset))).round().astype(int)
        return [lambda index=index: dataset[int(index)] for index in chosen]
    for path in images:
        if not path.is_file():
            raise ValueError(f'{path} is not a file')
    pipeline = Compose(image_steps(cfg))
    return [lambda path=path, index=index: pipeline(dict(img_path=str(path), img_id=index)) for index, path in enumerate(images)]
