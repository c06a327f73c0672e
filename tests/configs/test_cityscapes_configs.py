"""Every DCME config of Cityscapes and COCO as its user runs it, paths included: two iterations, validation, test-server files.

Cityscapes is Shapes in its layout; COCO is a few real images. Only sizes, numbers and weights are changed.
"""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from test_configs import CONFIGS, shrink_data
from toy_models import without_weights

from mmext_instseg.datasets.class_priority import count_instances, write_class_priority

FOLDER = CONFIGS / 'dcme'
SUBMISSION = FOLDER / 'dcme_vgg16_80k_cityscapes-test-512x1024.py'
CITYSCAPES = sorted(path for path in FOLDER.glob('*_cityscapes-*.py') if path != SUBMISSION)
COCO = sorted(FOLDER.glob('*_coco.py'))


def small(path: Path, scale: tuple[int, int]) -> Config:
    """The config with two iterations of two images and as narrow as it goes, and with votes of an untrained network made peaks."""
    config = Config.fromfile(path)
    config.work_dir = 'work_dirs/' + path.stem
    config.model = without_weights(config.model)
    if config.model.backbone.type in ('VGGDeepLab', 'SegNet'):
        config.model.backbone.depth = 11
    if config.model.neck:
        config.model.neck.update(channels=16)
    config.model.codec.update(min_votes=4.0, min_area=4)
    config.model.test_cfg.update(foreground_threshold=0.1, max_per_image=20)
    shrink_data(config, scale, batch_size=2)
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.default_hooks.checkpoint.interval = 2
    return config


def check_submission(folder: Path, names: list[str]) -> None:
    """Results as cityscapesscripts' evalInstanceLevelSemanticLabeling describes them: <stem>*.txt with 'png class score' a line."""
    lines = [line.split() for name in names for line in (folder / f'{name}_leftImg8bit_pred.txt').read_text().splitlines()]
    assert lines
    for png, label, score in lines:
        mask = np.asarray(Image.open(folder / png))
        assert mask.shape == (128, 256) and mask.any()
        assert int(label) in (24, 25, 26, 27, 28, 31, 32, 33) and 0 <= float(score) <= 1


@pytest.mark.parametrize('path', CITYSCAPES, ids=[path.stem for path in CITYSCAPES])
def test_cityscapes_from_training_to_submission(path, cityscapes_folder, monkeypatch):
    monkeypatch.chdir(cityscapes_folder)
    config, submission = small(path, (256, 128)), small(SUBMISSION, (256, 128))
    config.test_dataloader, config.test_evaluator = submission.test_dataloader, submission.test_evaluator
    runner = Runner.from_cfg(config)
    runner.train()
    scalars = runner.message_hub.log_scalars
    for metric in ('cityscapes/mAP', 'cityscapes/AP_person', 'coco_panoptic/PQ' if 'panoptic' in path.stem else 'coco/segm_mAP'):
        assert 0 <= scalars[f'val/{metric}'].current() <= 100
    assert all(np.isfinite(scalars[f'train/{name}'].current()) for name in ('loss_dcme', 'loss_grid_class', 'mse'))
    runner.test()
    check_submission(Path('work_dirs/cityscapes_submission/results'), ['shapes_000002_000000', 'shapes_000002_000001'])


def test_true_maps_score_by_cityscapesscripts(cityscapes_folder, monkeypatch):
    """Pipeline, codec and cityscapesscripts mean the same instances: what the truth encodes to, at stride 1, is decoded to the truth."""
    monkeypatch.chdir(cityscapes_folder)
    config = small(CITYSCAPES[0], (256, 128))
    config.model.heads.semantic.update(in_index=0, in_channels=32)
    config.model.codec.update(peak_radius=0, join_radius=1)
    config.model.test_cfg.update(true_maps=('semantic', 'instance'), label_by='vote')
    config.val_evaluator = config.val_evaluator[:1]
    assert Runner.from_cfg(config).val()['cityscapes/mAP'] > 0.9


@pytest.mark.parametrize('path', COCO, ids=[path.stem for path in COCO])
def test_coco_on_real_images(path, coco_folder):
    annotations = coco_folder / 'annotations'
    write_class_priority(annotations / 'class_priority.json', count_instances(annotations / 'instances_train2017.json'))
    runner = Runner.from_cfg(small(path, (160, 96)))
    runner.train()
    scalars = runner.message_hub.log_scalars
    assert all(0 <= scalars[f'val/{metric}/segm_mAP'].current() <= 1 for metric in ('coco', 'agnostic'))
