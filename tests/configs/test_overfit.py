"""The tiny configs learn eight Shapes images by heart: proof of the plumbing from file to figure."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[2] / 'configs'
#: Iterations, height and width of the scenes, images (or phrases) at once.
SETTINGS = {
    'aml_solov2': (300, 96, 4),
    'dcme': (450, 96, 4),
    'embedding_unet': (600, 96, 4),
    'instance_clipseg': (1100, 64, 16),
    'pe_centroid': (600, 96, 4),
}
# Of 96x96, eight scenes in which all centres lie at least 6 pixels apart, so that a centre-based representation can tell the objects apart.
SEED = 163


def overfitting(method: str, folder: Path) -> Config:
    """The method's tiny config on eight images without augmentation, its schedule shortened."""
    iterations, size, batch_size = SETTINGS[method]
    config = Config.fromfile(ROOT / method / f'{method}_tiny_shapes.py')
    config.work_dir = str(folder / 'work')
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=batch_size)
        loader.dataset.update(data_root=str(folder), seed=SEED, num_images=8, size=(size, size))
        for step in loader.dataset.pipeline:
            if step.type == 'AlignedResize':  # as many times as the config enlarges 128x128
                step.scale = tuple(side * size // 128 for side in step.scale)
    config.train_dataloader.dataset.pipeline = [step for step in config.train_dataloader.dataset.pipeline if step.type != 'RandomFlip']
    written = folder / f'v1_standard_{size}x{size}_seed{SEED}_n8'
    for metric in config.val_evaluator if isinstance(config.val_evaluator, list) else []:
        if 'seg_prefix' in metric:
            metric.seg_prefix = str(written / 'panoptic')
        metric.ann_file = str(written / ('panoptic.json' if 'seg_prefix' in metric else 'instances.json'))
    config.optim_wrapper.optimizer.fused = True  # the same steps, faster
    config.train_cfg.update(max_iters=iterations, val_interval=iterations)
    config.param_scheduler[0].end = iterations // 20
    config.param_scheduler[-1].update(T_max=iterations, end=iterations)
    config.default_hooks.checkpoint.interval = iterations
    return config


@pytest.mark.timeout(1200)
@pytest.mark.parametrize('method', SETTINGS)
def test_tiny_config_overfits_eight_images(method, tmp_path):
    runner = Runner.from_cfg(overfitting(method, tmp_path))
    for module in runner.model.modules():  # dropout is there to prevent what is asked for here
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    runner.train()
    scalars = {name: value.current() for name, value in runner.message_hub.log_scalars.items() if name.startswith('val/')}
    if method == 'instance_clipseg':
        assert scalars['val/phrase/mDice'] >= 0.9
    elif method == 'pe_centroid':
        assert scalars['val/coco_panoptic/PQ'] >= 90
    else:
        assert scalars['val/coco/segm_mAP'] >= 0.9
        assert scalars['val/agnostic/segm_mAP'] >= 0.9
