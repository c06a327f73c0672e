"""mmdet's own models and unmodified tools in this environment, without compiled ops; nothing is downloaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config

MIM = Path(mmdet.__file__).parent / '.mim'
CONFIGS = ['mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', 'solov2/solov2_r50_fpn_1x_coco.py']

TOY_CONFIG = """
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(fc_out_channels=32, num_classes=1), mask_head=dict(num_convs=1, num_classes=1)))
data = dict(data_root={root!r}, ann_file='toy.json', data_prefix=dict(img=''), metainfo=dict(classes=('square',)))
resize = dict(type='Resize', scale=(128, 96))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True), resize, dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), resize, dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline, **data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={root!r} + '/toy.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
"""


def zoo_config(name):
    config = Config.fromfile(MIM / 'configs' / name)
    config.model.backbone.init_cfg = None
    return config


def favour_first_class(model):
    """Initial weights, but sure of class 0 everywhere.

    Without this an untrained Mask R-CNN finds nothing, and SOLOv2 without initial weights keeps all 300,000 candidates.
    """
    model.init_weights()
    classifier = model.roi_head.bbox_head.fc_cls if hasattr(model, 'roi_head') else model.mask_head.conv_cls
    torch.nn.init.constant_(classifier.bias[:1], 5.0)


def run(*arguments):
    """One of mmdet's tools in a fresh process, which knows nothing of this package but the start-up hook."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def toy_config(tmp_path):
    """Two images with one grey square each, as a COCO file, and a small Mask R-CNN on them."""
    images, annotations = [], []
    for index, (x, y) in enumerate([(10, 20), (60, 30)]):
        picture = np.zeros((96, 128, 3), np.uint8)
        picture[y : y + 40, x : x + 40] = 200
        cv2.imwrite(str(tmp_path / f'{index}.png'), picture)
        images.append({'id': index, 'file_name': f'{index}.png', 'height': 96, 'width': 128})
        corners = [x, y, x + 40, y, x + 40, y + 40, x, y + 40]
        annotations.append(
            {
                'id': index + 1,
                'image_id': index,
                'category_id': 1,
                'bbox': [x, y, 40, 40],
                'area': 1600,
                'iscrowd': 0,
                'segmentation': [corners],
            }
        )
    categories = [{'id': 1, 'name': 'square'}]
    (tmp_path / 'toy.json').write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    config = tmp_path / 'toy.py'
    config.write_text(TOY_CONFIG.format(root=str(tmp_path)))
    return config


@pytest.mark.parametrize('name', CONFIGS)
def test_loss_and_predict(name):
    register_all_modules()
    torch.manual_seed(0)
    model = MODELS.build(zoo_config(name).model)
    favour_first_class(model)
    inputs = demo_mm_inputs(2, [(3, 128, 160)] * 2, num_items=[2, 3], num_classes=80, with_mask=True)
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    assert total > 0
    gradient = model.backbone.layer4[0].downsample[0].weight.grad  # conv1 gets none at first: the residual branches start at 0
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0

    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(inputs, False), mode='predict')
    assert len(results) == 2
    for sample in results:
        instances = sample.pred_instances
        assert len(instances) > 0
        assert instances.masks.shape == (len(instances), *sample.ori_shape)
        assert instances.masks.dtype == torch.bool
        assert set(instances.labels.tolist()) == {0}


@pytest.mark.parametrize('name', CONFIGS)
def test_inferencer(name):
    config = zoo_config(name)
    config.test_dataloader.dataset.pipeline[1].scale = (160, 128)
    torch.manual_seed(0)
    inferencer = DetInferencer(config, device='cpu', show_progress=False)
    favour_first_class(inferencer.model)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    (prediction,) = inferencer(image, no_save_vis=True)['predictions']
    assert len(prediction['scores']) > 0
    assert set(prediction['labels']) == {0}
    assert len(prediction['masks']) == len(prediction['scores'])
    assert prediction['masks'][0]['size'] == [96, 128]


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_tool_starts(tool):
    done = run(MIM / 'tools' / tool, '--help')
    assert done.returncode == 0, done.stderr
    assert '--cfg-options' in done.stdout


def test_tools_train_and_test(toy_config, tmp_path):
    trained = run(MIM / 'tools/train.py', toy_config, '--work-dir', tmp_path / 'work')
    assert trained.returncode == 0, trained.stderr[-3000:]
    weights = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=False)['state_dict']  # written here just now
    torch.save({'state_dict': weights}, tmp_path / 'weights.pth')
    tested = run(MIM / 'tools/test.py', toy_config, tmp_path / 'weights.pth', '--work-dir', tmp_path / 'work')
    assert tested.returncode == 0, tested.stderr[-3000:]
    assert 'coco/segm_mAP:' in tested.stdout
