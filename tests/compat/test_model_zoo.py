"""Models of mmdet's own zoo on our stand-in for compiled ops: built, trained one step, and asked for a prediction."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmengine.utils import get_installed_path

ZOO = f'{get_installed_path("mmdet")}/.mim/configs'
HEIGHT, WIDTH = 96, 128


def sample() -> DetDataSample:
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.uint8)
    masks[0, 10:50, 20:70], masks[1, 60:90, 80:120] = 1, 1
    made = DetDataSample(metainfo=dict(img_shape=(HEIGHT, WIDTH), ori_shape=(HEIGHT, WIDTH), scale_factor=(1.0, 1.0), img_id=0))
    made.gt_instances = InstanceData(
        bboxes=torch.tensor([[20.0, 10, 70, 50], [80, 60, 120, 90]]),
        labels=torch.tensor([3, 7]),
        masks=BitmapMasks(masks.numpy(), HEIGHT, WIDTH),
    )
    made.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    return made


@pytest.mark.parametrize('name', ['mask_rcnn/mask-rcnn_r50_fpn_1x_coco', 'solov2/solov2_r50_fpn_1x_coco'])
def test_builds_trains_and_predicts(name):
    config = Config.fromfile(f'{ZOO}/{name}.py').model
    config.backbone.pop('init_cfg')  # nothing is fetched
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config))
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8)

    model.train()
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[sample()]), training=True)
    total, _ = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    assert torch.isfinite(total) and total > 0
    gradients = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
    assert all(gradient is None or torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(gradient is not None for gradient in gradients) > 0.9 * len(gradients)

    model.eval()
    with torch.no_grad():
        found = model.test_step(dict(inputs=[image], data_samples=[sample()]))[0].pred_instances
    assert found.masks.shape == (len(found), HEIGHT, WIDTH) and found.scores.shape == found.labels.shape
