import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mmext_instseg.structures import InstanceMap


def masks_from(*rows: str) -> torch.Tensor:
    """One mask a string; '#' is set, '/' ends a row."""
    return torch.stack([torch.tensor([[c == '#' for c in line] for line in row.split('/')]) for row in rows])


def test_smaller_on_top_then_lower_id():
    masks = masks_from('####/####', '.##./....', '..##/....')  # areas 8, 2, 2
    made = InstanceMap.from_masks(masks, torch.tensor([7, 8, 9]))
    assert made.ids.tolist() == [[1, 2, 2, 3], [1, 1, 1, 1]]
    assert made.areas.tolist() == [5, 2, 1]
    assert made.lost.tolist() == [3, 0, 1]
    assert made.labels.tolist() == [7, 8, 9]


def test_overlaps_ignored_and_crowd_yields_to_instances():
    masks = masks_from('##../....', '.##./....')
    crowd = masks_from('...#/.###')[0] | masks[0]
    made = InstanceMap.from_masks(masks, torch.tensor([0, 1]), ignore=crowd, overlap='ignore')
    assert made.ids.tolist() == [[1, -1, 2, -1], [0, -1, -1, -1]]
    assert made.lost.tolist() == [1, 1]
    with pytest.raises(ValueError, match='below'):
        InstanceMap.from_masks(masks, torch.tensor([0, 1]), overlap='below')


def test_hidden_mask_keeps_its_row_until_compacted():
    made = InstanceMap.from_masks(masks_from('##', '##', '#.'), torch.tensor([4, 5, 6]))
    assert made.areas.tolist() == [1, 0, 1] and made.num_vanished == 1
    compact = made.compact()
    assert compact.ids.tolist() == [[2, 1]] and compact.labels.tolist() == [4, 6] and compact.lost.tolist() == [1, 0]


@pytest.mark.parametrize('num', [0, 1, 63, 64, 65, 600])
def test_painting_equals_a_loop(num):
    generator = torch.Generator().manual_seed(num)
    masks = torch.rand(num, 17, 23, generator=generator) > torch.rand(num, 1, 1, generator=generator)
    made = InstanceMap.from_masks(masks, torch.zeros(num, dtype=torch.int64))
    ids = torch.zeros(17, 23, dtype=torch.int32)
    for k in sorted(range(num), key=lambda k: (-int(masks[k].sum()), -k)):
        ids[masks[k]] = k + 1
    assert torch.equal(made.ids, ids)
    assert made.ids.dtype == torch.int32 and made.boxes.shape == (num, 4) and made.centroids.shape == (num, 2)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30), st.integers(1, 45), st.integers(1, 45))
def test_resize_samples_pixel_centres_at_any_ratio(seed, height, width, new_height, new_width):
    ids = torch.randint(-1, 4, (height, width), generator=torch.Generator().manual_seed(seed))
    small = InstanceMap.from_ids(ids, torch.arange(3)).resize((new_height, new_width))
    rows = [(2 * i + 1) * height // (2 * new_height) for i in range(new_height)]
    cols = [(2 * j + 1) * width // (2 * new_width) for j in range(new_width)]
    assert torch.equal(small.ids.long(), ids[rows][:, cols])
    assert len(small) == 3 and small.num_vanished == sum(not (small.ids == k).any() for k in (1, 2, 3))


def test_resize_by_eight_fourteenths():
    ids = torch.zeros(28, 42, dtype=torch.int32)
    ids[1, 1] = 1  # no sampled centre falls here
    ids[7:21, 7:21] = 2
    small = InstanceMap.from_ids(ids, torch.arange(2)).resize((16, 24))
    assert small.areas.tolist() == [0, 64] and small.num_vanished == 1
    assert small.boxes[1].tolist() == [4, 4, 12, 12]


def test_pad_ignores_and_crop_undoes_it():
    made = InstanceMap.from_ids(torch.tensor([[1, 0], [0, 2]]), torch.tensor([3, 4]))
    padded = made.pad((3, 4))
    assert padded.ids.tolist() == [[1, 0, -1, -1], [0, 2, -1, -1], [-1] * 4]
    assert torch.equal(padded.centroids, made.centroids)
    assert torch.equal(padded.crop((2, 2)).ids, made.ids)


def test_extent_is_the_image_without_its_padding():
    made = InstanceMap.from_ids(torch.zeros(6, 4, dtype=torch.int64), torch.zeros(0))
    assert made.extent is None
    padded = made.pad((8, 8))
    assert padded.extent == (6, 4) and padded.pad((10, 12)).extent == (6, 4)
    assert padded.resize((4, 2)).extent == (3, 1)
    assert padded.resize((3, 3)).extent == (2.25, 1.5), 'the part stays the same'
    assert padded.crop((7, 3)).extent == (6, 3)
    assert padded.to('cpu').select(torch.ones(0, dtype=torch.bool)).extent == (6, 4)


def test_label_map():
    made = InstanceMap.from_ids(torch.tensor([[1, 0, -1, 2]]), torch.tensor([3, 4]))
    assert made.label_map(background=9, ignore=-100).tolist() == [[3, 9, -100, 4]]


def test_cast_moves_but_keeps_dtypes():
    made = InstanceMap.from_ids(torch.tensor([[1, 0]]), torch.tensor([3])).to(torch.float16).to('cpu', dtype=torch.bfloat16)
    assert made.ids.dtype == torch.int32 and made.centroids.dtype == torch.float32


def square_annotation(**changes) -> dict:
    return {'id': 12, 'category_id': 5, 'iscrowd': 0, 'segmentation': [[1, 1, 4, 1, 4, 4, 1, 4]], **changes}


def test_from_coco_reads_polygons_rle_and_crowd():
    rle = {'size': [6, 6], 'counts': [30, 6]}  # the last column
    compressed = coco_mask.encode(np.asfortranarray(np.eye(6, dtype=np.uint8)))
    made = InstanceMap.from_coco(
        [square_annotation(), square_annotation(segmentation=compressed, category_id=7), square_annotation(segmentation=rle, iscrowd=1)],
        (6, 6),
        {5: 0, 7: 1},
    )
    assert made.labels.tolist() == [0, 1]
    assert made.ids.tolist() == [
        [2, 0, 0, 0, 0, -1],
        [0, 2, 1, 1, 0, -1],
        [0, 1, 2, 1, 0, -1],
        [0, 1, 1, 2, 0, -1],
        [0, 0, 0, 0, 2, -1],
        [0, 0, 0, 0, 0, 2],
    ]
    assert len(InstanceMap.from_coco([], (6, 6))) == 0


def test_from_coco_names_the_annotation():
    with pytest.raises(ValueError, match=r'annotation 12.*5.*\[1, 2\]'):
        InstanceMap.from_coco([square_annotation()], (6, 6), {1: 0, 2: 1})
    with pytest.raises(ValueError, match='annotation 12'):
        InstanceMap.from_coco([square_annotation(segmentation=[[0, 0, float('nan'), 1, 2, 2]])], (6, 6))
