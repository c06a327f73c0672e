import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_head_contract import annotations, build, small_config
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData

from mmext_instseg.models.heads.solo_targets import assign_cells, crowd_cells, gather_instances

NUM_GRIDS, RANGES = (12, 10, 8, 6, 4), ((1, 16), (8, 32), (16, 64), (32, 128), (64, 512))


def targets_of(batch: list[InstanceData], shape: tuple[int, int], stride: int = 4, pos_scale: float = 0.2):
    """Instances and candidates at (h, w)."""
    instances = gather_instances(batch, None, shape, stride)
    return instances, assign_cells(instances, len(batch), (shape[0] * stride, shape[1] * stride), RANGES, NUM_GRIDS, pos_scale)


def random_instances(rng: np.random.Generator, num: int, height: int, width: int) -> InstanceData:
    """Ragged blobs, some empty, with boxes that needn't fit them."""
    low = rng.uniform(0, 1, (num, 2)) * (width, height)
    boxes = np.concatenate([low, low + rng.uniform(0, 1, (num, 2)) ** 2 * (width, height)], axis=1).astype(np.float32)
    y, x = np.mgrid[:height, :width]
    inside = (x >= boxes[:, 0, None, None]) & (x < boxes[:, 2, None, None]) & (y >= boxes[:, 1, None, None]) & (y < boxes[:, 3, None, None])
    masks = (inside & (rng.random((num, height, width)) < rng.random((num, 1, 1)))).astype(np.uint8)
    labels = torch.from_numpy(rng.integers(0, 3, num))
    return InstanceData(bboxes=torch.from_numpy(boxes), labels=labels, masks=BitmapMasks(masks, height, width))


@pytest.fixture(scope='module')
def mmdets():
    return build(small_config(type='SOLOV2Head'))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    nums=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    shape=st.tuples(st.integers(2, 30), st.integers(2, 30)),
    stride=st.sampled_from([1, 2, 4, 8]),
    pos_scale=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
)
def test_equals_mmdets_assignment_bit_for_bit(mmdets, seed, nums, shape, stride, pos_scale):
    """Cells, their order, labels and masks; with collisions, too, where the last instance names the cell."""
    rng = np.random.default_rng(seed)
    batch = [random_instances(rng, num, shape[0] * stride, shape[1] * stride) for num in nums]
    instances, candidates = targets_of(batch, shape, stride, pos_scale)
    owner = candidates.owner(len(batch) * sum(g * g for g in NUM_GRIDS))
    labels = torch.cat([instances.labels, torch.tensor([3])])[owner]
    mmdets.mask_stride, mmdets.pos_scale = stride, pos_scale
    start = 0
    theirs = [mmdets._get_targets_single(one, featmap_sizes=shape) for one in batch]
    for level, grid in enumerate(NUM_GRIDS):
        for image, (their_masks, their_labels, their_positive, their_index) in enumerate(theirs):
            cells = slice(start, start + grid**2)
            here = (candidates.cell >= cells.start) & (candidates.cell < cells.stop)
            assert (candidates.image[here] == image).all()
            assert (candidates.cell[here] - start).tolist() == their_index[level]
            assert torch.equal(instances.masks[candidates.instance[here]], their_masks[level].bool())
            assert torch.equal(labels[cells], their_labels[level].flatten())
            assert torch.equal(owner[cells] >= 0, their_positive[level])
            start += grid**2


def test_a_square_by_hand():
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 16:48, 16:48] = True
    instances, candidates = targets_of([annotations(masks)], (16, 16))
    assert instances.areas.tolist() == [1024] and instances.centroids.tolist() == [[31.5, 31.5]]
    # side 32: levels 1, 2, 3. The centre region, 31.5 +- 3.2, touches cells 4 and 5 of 10, 3 and 4 of 8, 2 and 3 of 6.
    spans = ((144, 10, (4, 5)), (244, 8, (3, 4)), (308, 6, (2, 3)))
    assert candidates.cell.tolist() == [start + row * grid + col for start, grid, span in spans for row in span for col in span]
    assert torch.equal(instances.masks[0], masks[0, ::4, ::4]) and instances.crowd is None


def test_nobody_claims_cells_without_instances_or_masks():
    empty = annotations(torch.zeros(0, 32, 48, dtype=torch.bool))
    hollow = annotations(torch.zeros(1, 32, 48, dtype=torch.bool))
    hollow.bboxes[0] = torch.tensor([4.0, 4, 20, 20])
    for batch in ([empty], [empty, hollow]):
        instances, candidates = targets_of(batch, (8, 12))
        assert len(candidates.cell) == 0 and candidates.cell.dtype == torch.int64
        assert (candidates.owner(360 * len(batch)) == -1).all()
        assert instances.masks.shape == (len(batch) - 1, 8, 12)


def test_polygons_and_bitmaps_are_the_same():
    corners = np.array([8, 8, 40, 8, 40, 40, 8, 40], dtype=np.float32)
    polygons = PolygonMasks([[corners]], 64, 64)
    fields = dict(bboxes=torch.tensor([[8.0, 8, 40, 40]]), labels=torch.tensor([1]))
    batches = [[InstanceData(masks=masks, **fields)] for masks in (polygons, polygons.to_bitmap())]
    (first, a), (second, b) = (targets_of(batch, (16, 16)) for batch in batches)
    assert torch.equal(first.masks, second.masks) and torch.equal(a.cell, b.cell) and len(a.cell) > 0


def test_more_than_512_instances():
    rng = np.random.default_rng(0)
    instances, candidates = targets_of([random_instances(rng, 600, 64, 64), random_instances(rng, 5, 64, 64)], (16, 16))
    assert len(instances.masks) == 605 and instances.image.tolist() == [0] * 600 + [1] * 5
    assert set(candidates.image[candidates.instance >= 600].tolist()) == {1}


def test_crowd_regions_yield_to_instances():
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, :32], masks[1, :, :32] = True, True
    plain, crowded = annotations(masks[:1]), annotations(masks[1:])
    instances = gather_instances([plain, plain], [None, crowded], (16, 16), 4)
    expected = torch.zeros(2, 16, 16, dtype=torch.bool)
    expected[1, 8:, :8] = True
    assert torch.equal(instances.crowd, expected)
    cells = crowd_cells(instances.crowd, (4, 2))
    assert cells.nonzero().squeeze(1).tolist() == [16 + 8, 16 + 9, 16 + 12, 16 + 13, 32 + 4 + 2]


def test_half_a_cell_of_crowd_is_not_enough():
    crowd = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 1]], dtype=torch.bool)
    assert crowd_cells(crowd[None], (2,)).tolist() == [False, True, False, True]  # 2, 3, 1 and 4 pixels of 4
