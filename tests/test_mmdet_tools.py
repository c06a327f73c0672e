"""mmdet's own tools, unmodified, on a config and a checkpoint of ours."""

import subprocess
import sys
from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config

TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'dcme' / 'dcme_tiny_shapes.py'


def run(tool: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Folder, config and checkpoint of three iterations on six images, by mmdet's train.py."""
    folder = tmp_path_factory.mktemp('run')
    config = Config.fromfile(CONFIG)
    for loader, seed in ((config.train_dataloader, 0), (config.val_dataloader, 1), (config.test_dataloader, 1)):
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        loader.dataset.update(data_root=str(folder / 'data'), num_images=6, seed=seed)
    truth = folder / 'data' / 'v1_standard_128x128_seed1_n6' / 'instances.json'
    for metric in (*config.val_evaluator, *config.test_evaluator):
        metric.ann_file = str(truth)
    config.model.backbone.base_channels = 4
    config.model.heads.instance.in_channels = config.model.heads.semantic.in_channels = 4
    config.train_cfg.update(max_iters=3, val_interval=3)
    config.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=3)
    config.dump(folder / 'config.py')
    run('train.py', folder / 'config.py', '--work-dir', folder / 'work', folder=folder)
    return folder, folder / 'config.py', folder / 'work' / 'iter_3.pth'


def test_train_writes_a_checkpoint_of_plain_data(trained):
    loaded = torch.load(trained[2], weights_only=True)
    assert loaded['meta']['iter'] == 3
    assert loaded['meta']['dataset_meta']['classes'] == ('circle', 'square', 'triangle', 'star', 'ring')


def test_test_prints_both_metrics(trained):
    folder, config, checkpoint = trained
    printed = run('test.py', config, checkpoint, '--work-dir', folder / 'test', '--show-dir', 'shown', folder=folder)
    assert 'coco/segm_mAP' in printed and 'agnostic/segm_mAP' in printed
    assert len(list((folder / 'test').rglob('shown/**/*.png'))) == 6


def test_resume_goes_on_where_it_stopped(trained):
    folder, config, _ = trained
    longer = ('--cfg-options', 'train_cfg.max_iters=4', 'train_cfg.val_interval=4')
    printed = run('train.py', config, '--work-dir', folder / 'work', '--resume', *longer, folder=folder)
    assert 'resumed epoch: 0, iter: 3' in printed
    assert torch.load(folder / 'work' / 'iter_4.pth', weights_only=True)['meta']['iter'] == 4


def test_get_flops(trained):
    folder, config, _ = trained
    printed = run('analysis_tools/get_flops.py', config, '--num-images', '1', folder=folder)
    assert 'Flops' in printed and 'Params' in printed


def test_inferencer_draws_and_predicts(trained, tmp_path):
    _, config, checkpoint = trained
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    inferencer = DetInferencer(str(config), str(checkpoint), device='cpu', show_progress=False)
    result = inferencer(image, out_dir=str(tmp_path), no_save_pred=False, return_datasamples=True)
    pred = result['predictions'][0].pred_instances
    assert pred.masks.shape[1:] == (90, 70)
    assert cv2.imread(str(next(tmp_path.rglob('vis/*.jpg')))).shape == (90, 70, 3)
    assert inferencer.visualizer.dataset_meta['classes'][3] == 'star'


def test_init_and_inference_detector(trained):
    _, config, checkpoint = trained
    model = init_detector(str(config), str(checkpoint), device='cpu')
    found = inference_detector(model, np.zeros((50, 60, 3), np.uint8))
    assert found.pred_instances.bboxes.shape[1] == 4
    assert model.dataset_meta['classes'][0] == 'circle'
