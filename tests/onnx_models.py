"""A model of each method at toy width, with seeded weights, to be exported; and Shapes images for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch import nn
from toy_models import as_toy

from mmext_instseg.datasets.shapes import SceneSpec
from mmext_instseg.inference import array_pipeline
from mmext_instseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
#: Of the masks' pixels this share may differ: values within the last digits of a threshold, or votes that tie.
SHARE = 1e-3
NARROW = dict(backbone=dict(base_channels=4), heads=dict(instance=dict(in_channels=4), semantic=dict(in_channels=4)))
LOW = dict(foreground_threshold=0.3, max_per_image=30)
CASES = {
    'dcme': ('dcme/dcme_tiny_shapes', {**NARROW, 'codec': dict(min_votes=3.0), 'test_cfg': LOW}, []),
    'embedding_unet': ('embedding_unet/embedding_unet_tiny_shapes', {**NARROW, 'test_cfg': LOW}, []),
    'aml_solov2': ('aml_solov2/aml_solov2_tiny_shapes', dict(test_cfg=dict(score_thr=0.0, filter_thr=0.0, nms_pre=20, max_per_img=10)), []),
    'pe_centroid': (
        'pe_centroid/pe_centroid_vitb_46k_coco-420',
        dict(codec=dict(min_pixels=4), test_cfg=dict(min_stuff_area=20)),
        ['--size', 112, 126],
    ),
    'instance_clipseg': (
        'instance_clipseg/instance_clipseg_tiny_shapes',
        dict(codec=dict(peak_threshold=0.01), test_cfg=dict(mask_threshold=0.01, max_per_phrase=10)),
        ['--size', 128, 144, '--text', 'a circle', 'red square'],
    ),
}


def write_model(folder: Path, name: str, changes: dict) -> tuple[Path, Path]:
    """A config and seeded weights whose batch norms have statistics of their own."""
    config = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    if 'tiny' not in name:
        config.model = as_toy(config.model)
        config.test_dataloader.dataset.pipeline = [
            {**step, 'scale': (126, 112)} if 'scale' in step else step for step in config.test_dataloader.dataset.pipeline
        ]
    config.merge_from_dict(dict(model=changes))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    classes = tuple(map(str, range(133)))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), folder / 'model.pth')
    config.dump(folder / 'model.py')
    return folder / 'model.py', folder / 'model.pth'


@torch.no_grad()
def detect(detector: Any, image: np.ndarray, phrases: tuple[str, ...] = ()) -> Any:
    """The sample that a detector of mmdet's `init_detector` gives for an image (H, W, 3) uint8 BGR, by its own preprocessor."""
    packed = array_pipeline(detector.cfg)(dict(img=np.ascontiguousarray(image), img_id=0, text=phrases))
    return detector.test_step(pseudo_collate([packed]))[0]


def check_instances(found: Mapping[str, np.ndarray], wanted: Any, share: float) -> None:
    """Compares instances, as arrays by name, with mmdet's. A share of the masks' pixels may differ, which changes score and box too."""
    masks = wanted.masks.numpy()
    assert found['labels'].tolist() == wanted.labels.tolist()
    assert found['masks'].shape == masks.shape and (found['masks'] != masks).sum() <= share * masks.sum()
    same = (found['masks'] == masks).all(axis=(1, 2))
    np.testing.assert_allclose(found['scores'][same], wanted.scores[same], atol=1e-4, rtol=0)
    np.testing.assert_allclose(found['scores'], wanted.scores, atol=1e-2, rtol=0)
    np.testing.assert_array_equal(found['bboxes'][same], wanted.bboxes[same])


def write_images(folder: Path, num: int) -> list[Path]:
    """The first Shapes images of seed 1, as files."""
    paths = [folder / f'{index}.png' for index in range(num)]
    for index, path in enumerate(paths):
        Image.fromarray(SceneSpec(seed=1).scene(index).image).save(path)
    return paths
