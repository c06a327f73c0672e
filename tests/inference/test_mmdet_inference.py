"""mmdet's `inference_detector` and `DetInferencer` (what its image_demo calls) on images that come without annotations or depth."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config
from toy_models import as_toy

from mmext_instseg.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[2]
# One of each test pipeline that loads truth; and a text model
CASES = {
    'dcme/dcme_tiny_shapes': {'pred_instances'},
    'pe_centroid/pe_centroid_vitb_46k_coco-420': {'pred_instances', 'pred_panoptic_seg'},
    'embedding_unet/embedding_unet_tiny-panoptic_600it_shapes-64': {'pred_instances', 'pred_panoptic_seg'},
    'aml_solov2/aml_solov2_tiny_shapes': {'pred_instances'},
    'pe_centroid/pe_centroid_tiny_shapes': {'pred_instances', 'pred_panoptic_seg'},
    'pe_centroid/pe_centroid_tiny-depth_shapes': {'pred_instances', 'pred_panoptic_seg', 'pred_depth_map'},
    'pe_centroid/pe_centroid_vitb-depth_stage3_test-nyu': {'pred_instances', 'pred_depth_map'},
    'instance_clipseg/instance_clipseg_tiny_shapes': {'pred_instances', 'pred_phrase_masks'},
}
IMAGE = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)


def write_model(folder: Path, name: str) -> tuple[str, str]:
    """A config on small images with seeded weights of its toy model."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.model = as_toy(cfg.model)
    dataset = cfg.test_dataloader.dataset
    dataset.data_root = str(folder)
    if 'shapes' in name:
        dataset.num_images = 1
    for step in dataset.pipeline:
        if step.type == 'AlignedResize':
            step.scale = (112, 112)
    torch.manual_seed(0)
    model, metainfo = MODELS.build(cfg.model), DATASETS.build({**dataset, 'lazy_init': True}).metainfo
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(metainfo))), folder / 'model.pth')
    cfg.dump(folder / 'model.py')
    return str(folder / 'model.py'), str(folder / 'model.pth')


@pytest.mark.parametrize('name', CASES)
def test_images_without_truth(name, tmp_path):
    files, photo = write_model(tmp_path, name), str(tmp_path / 'photo.png')
    cv2.imwrite(photo, IMAGE)
    texts = 'clipseg' in name
    model = init_detector(*files, device='cpu')
    # mmdet writes its loader of arrays into the model's config: paths go first
    found = [inference_detector(model, one, **(dict(text_prompt='a dog') if texts else {})) for one in (photo, IMAGE)]
    inferencer = DetInferencer(*files, device='cpu', show_progress=False)
    for one in (photo, IMAGE):
        shown = inferencer(one, return_datasamples=True, return_vis=True, **(dict(texts='a dog') if texts else {}))
        assert shown['visualization'][0].shape == IMAGE.shape
        found += shown['predictions']
    for sample in found:
        assert CASES[name] <= set(sample.keys()), sample.keys()
        assert sample.pred_instances.masks.shape[1:] == IMAGE.shape[:2]
        assert torch.equal(sample.pred_instances.scores, found[0].pred_instances.scores)
