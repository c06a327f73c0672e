"""The tiny configs of finished methods learn eight Shapes images by heart: proof of the plumbing from file to figure."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

CONFIGS = [
    Path(__file__).resolve().parents[2] / 'configs' / name / f'{name}_tiny_shapes.py'
    for name in ('aml_solov2', 'dcme', 'embedding_unet', 'pe_centroid')
]
# Eight scenes in which all centres lie at least 6 pixels apart, so that a centre-based representation can tell the objects apart.
SCENES = dict(seed=86, num_images=8)
ITERATIONS = {
    'aml_solov2_tiny_shapes': 400,
    'dcme_tiny_shapes': 600,
    'embedding_unet_tiny_shapes': 600,
    'pe_centroid_tiny_shapes': 750,
}


def overfitting(path: Path, folder: Path) -> Config:
    """The config on eight images without augmentation, its schedule shortened."""
    config = Config.fromfile(path)
    iterations = ITERATIONS[path.stem]
    config.work_dir = str(folder / 'work')
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        loader.dataset.update(data_root=str(folder), **SCENES)
    config.train_dataloader.dataset.pipeline = config.val_dataloader.dataset.pipeline
    written = folder / 'v1_standard_128x128_seed86_n8'
    for metric in config.val_evaluator:
        if 'seg_prefix' in metric:
            metric.seg_prefix = str(written / 'panoptic')
        metric.ann_file = str(written / ('panoptic.json' if 'seg_prefix' in metric else 'instances.json'))
    config.train_cfg.update(max_iters=iterations, val_interval=iterations)
    config.param_scheduler[0].end = iterations // 20
    config.param_scheduler[-1].update(T_max=iterations, end=iterations)
    config.default_hooks.checkpoint.interval = iterations
    return config


@pytest.mark.parametrize('path', CONFIGS, ids=[path.stem for path in CONFIGS])
def test_tiny_config_overfits_eight_images(path, tmp_path):
    runner = Runner.from_cfg(overfitting(path, tmp_path))
    runner.train()
    scalars = {name: value.current() for name, value in runner.message_hub.log_scalars.items()}
    if 'val/coco_panoptic/PQ' in scalars:
        assert scalars['val/coco_panoptic/PQ'] >= 90
    else:
        assert scalars['val/coco/segm_mAP'] >= 0.9
        assert scalars['val/agnostic/segm_mAP'] >= 0.9
