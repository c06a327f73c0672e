import json

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import DATASETS
from pycocotools import mask as coco_mask

from mmext_instseg.evaluation.collisions import Collisions, GridFile, GridSettings, collision_rows
from mmext_instseg.models.heads.solo_targets import gather_instances

# Squares (x, y, side, side) in 64x64 pixels.
MIDDLE, CORNER, LARGE = (8, 8, 16, 16), (2, 2, 4, 4), (2, 2, 60, 60)
SETTINGS = GridSettings(num_grids=(4, 2), scale_ranges=((1, 20), (16, 64)), scale=None)


def write(folder, boxes, size=(64, 64), extra=None):
    """A COCO file of one image of (width, height); `extra` fields by position of the box."""
    annotations = [
        dict(
            id=position,
            image_id=1,
            category_id=1,
            segmentation=[[x, y, x + width, y, x + width, y + height, x, y + height]],
            bbox=[x, y, width, height],
            area=width * height,
        )
        | (extra or {}).get(position, {})
        for position, (x, y, width, height) in enumerate(boxes)
    ]
    images = [dict(id=1, file_name='1.jpg', width=size[0], height=size[1])]
    path = folder / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name='cup')])))
    return path


def count(path, settings=SETTINGS):
    counts = Collisions(settings)
    for instances, shape in GridFile(path, settings):
        counts.add(instances, shape)
    return counts


def figures(counts):
    return {name: getattr(counts, name).tolist() for name in ('assigned', 'sharing', 'lost', 'cells', 'contested')}


def test_by_hand(tmp_path):
    """Cells of 16 and 32 pixels.

    MIDDLE has side 16, so both levels: its centre region, 15.5 +- 1.6, touches cells 0 and 1 of the fine grid, cell 0 of the coarse one.
    CORNER has side 4, the fine level: 3.5 +- 0.4, cell 0. LARGE has side 60, the coarse level: 31.5 +- 6, cells 0 and 1.
    """
    counts = count(write(tmp_path, [CORNER, MIDDLE, LARGE]))
    # Fine: cell (0, 0) goes to MIDDLE, CORNER has no other. Coarse: (0, 0) goes to LARGE, MIDDLE has no other there.
    assert figures(counts) == dict(assigned=[2, 2, 3], sharing=[2, 2, 3], lost=[1, 1, 1], cells=[4, 4, 8], contested=[1, 1, 2])
    assert (counts.instances, counts.images, counts.affected) == (3, 1, 1)
    assert collision_rows(counts)[1:] == [
        ['4 x 4', '1 to 20', '2', '2', '100.00', '1', '50.00', '4', '1', '25.00'],
        ['2 x 2', '16 to 64', '2', '2', '100.00', '1', '50.00', '4', '1', '25.00'],
        ['all', '', '3', '3', '100.00', '1', '33.33', '8', '2', '25.00'],
    ]


def test_the_last_of_the_file_has_the_cell(tmp_path):
    """The same scene the other way round: LARGE and MIDDLE keep other cells."""
    counts = count(write(tmp_path, [LARGE, MIDDLE, CORNER]))
    assert figures(counts) == dict(assigned=[2, 2, 3], sharing=[2, 2, 3], lost=[0, 0, 0], cells=[4, 4, 8], contested=[1, 1, 2])


def test_images_are_scaled_first(tmp_path):
    halves = [tuple(side // 2 for side in box) for box in (CORNER, MIDDLE, LARGE)]
    scaled = GridSettings(**{**vars(SETTINGS), 'scale': (64, 64)})
    assert figures(count(write(tmp_path, halves, (32, 32)), scaled)) == figures(count(write(tmp_path, [CORNER, MIDDLE, LARGE])))


def test_grids_span_the_padded_image(tmp_path):
    """Rows of 64 / 4 = 16 pixels hold both centres (18 and 28), rows of 40 / 4 = 10 don't."""
    path = write(tmp_path, [(2, 17, 3, 3), (2, 27, 3, 3)], (64, 40))
    assert count(path).contested[0] == 1
    assert count(path, GridSettings(**{**vars(SETTINGS), 'divisor': 1})).contested[0] == 0


def test_what_training_does_not_see_counts_nothing(tmp_path):
    boxes = [MIDDLE, CORNER, CORNER, CORNER, (2, 2, 0.5, 9), (-9, 2, 9, 9)]
    counts = count(write(tmp_path, boxes, extra={1: dict(iscrowd=1), 2: dict(ignore=1), 3: dict(area=0)}))
    assert counts.instances == 1 and counts.contested.sum() == 0 and counts.affected == 0


def test_nothing_at_all(tmp_path):
    counts = count(write(tmp_path, []))
    assert (counts.instances, counts.images) == (0, 0)
    assert collision_rows(counts)[-1] == ['all', '', '0', '0', '-', '0', '-', '0', '0', '-']


@pytest.mark.parametrize(('scale', 'keep_ratio'), [((90, 70), True), ((333, 200), True), ((90, 70), False)])
def test_instances_equal_the_pipelines(tmp_path, scale, keep_ratio):
    """Boxes, areas and centroids of ragged masks, bit for bit those that the head sees."""
    rng = np.random.default_rng(0)
    path = write(tmp_path, [(x, y, 30, 20) for x, y in rng.uniform(0, 60, (5, 2)).tolist()], (120, 80))
    data = json.loads(path.read_text())
    for one in data['annotations']:
        rle = coco_mask.encode(np.asfortranarray(rng.random((80, 120)) < 0.3, dtype=np.uint8))
        one['segmentation'] = {**rle, 'counts': rle['counts'].decode()}
    path.write_text(json.dumps(data))
    ((found, shape),) = GridFile(path, GridSettings(scale=scale, keep_ratio=keep_ratio))

    source = dict(type='CocoDataset', ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=('cup',)), test_mode=True)
    results = {
        **DATASETS.build(source).get_data_info(0),
        'img': np.zeros((80, 120, 3), np.uint8),
        'img_shape': (80, 120),
        'ori_shape': (80, 120),
    }
    steps = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True), dict(type='AlignedResize', scale=scale, keep_ratio=keep_ratio)]
    sample = Compose([*steps, dict(type='PackDetInputs')])(results)['data_samples']
    sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
    expected = gather_instances([sample.gt_instances], None, (shape[0] // 4, shape[1] // 4), 4)
    assert shape == tuple(-(-side // 32) * 32 for side in sample.img_shape)
    assert torch.equal(found.areas, expected.areas) and len(found.areas) == 5
    assert torch.equal(found.centroids, expected.centroids)
    assert torch.equal(found.boxes, expected.boxes)


def test_levels_need_a_range_each():
    with pytest.raises(ValueError, match='2 num_grids, but 5 scale_ranges'):
        GridSettings(num_grids=(4, 2))


def test_a_panoptic_file_is_refused(tmp_path):
    path = tmp_path / 'panoptic.json'
    segment = dict(id=1, category_id=1, area=4, bbox=[0, 0, 2, 2], iscrowd=0)
    annotation = dict(image_id=1, file_name='1.png', segments_info=[segment])
    images = [dict(id=1, file_name='1.jpg', width=8, height=8)]
    path.write_text(json.dumps(dict(images=images, annotations=[annotation], categories=[dict(id=1, name='cup')])))
    with pytest.raises(ValueError, match=r'panoptic\.json is a panoptic file'):
        GridFile(path, GridSettings())
