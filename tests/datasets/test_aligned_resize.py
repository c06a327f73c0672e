import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmext_instseg.datasets.transforms import AlignedResize
from mmext_instseg.structures import InstanceMap


@settings(deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), new_height=st.integers(1, 40), new_width=st.integers(1, 40))
def test_masks_and_segments_are_resized_at_pixel_centres(height, width, new_height, new_width):
    generator = np.random.default_rng(height)
    ids = generator.integers(0, 3, (height, width))
    results = dict(
        img=np.zeros((height, width, 3), np.uint8),
        gt_masks=BitmapMasks([(ids == k).astype(np.uint8) for k in (1, 2)], height, width),
        gt_seg_map=ids.astype(np.uint8),
    )
    resized = AlignedResize(scale=(new_width, new_height), keep_ratio=False)(results)
    expected = InstanceMap.from_ids(torch.from_numpy(ids), torch.zeros(2)).resize((new_height, new_width)).ids.numpy()
    assert np.array_equal(resized['gt_seg_map'], expected)
    assert np.array_equal(resized['gt_masks'].masks, np.stack([expected == k for k in (1, 2)]))


def test_keeping_the_ratio_masks_have_the_size_of_the_image():
    results = dict(img=np.zeros((5, 9, 3), np.uint8), gt_masks=BitmapMasks([], 5, 9))
    resized = AlignedResize(scale=(4, 4), keep_ratio=True)(results)
    assert resized['img'].shape[:2] == resized['img_shape'] == (resized['gt_masks'].height, resized['gt_masks'].width) == (2, 4)
    with_polygons = dict(img=np.zeros((10, 20, 3), np.uint8), gt_masks=PolygonMasks([[np.array([0.0, 0, 10, 0, 10, 10, 0, 10])]], 10, 20))
    assert AlignedResize(scale=(10, 5))(with_polygons)['gt_masks'].masks[0][0].max() == 5
