import numpy as np
import pytest
import torch

from mmext_instseg.datasets.labelme import class_pixels, class_weights, split_by_density, split_by_frame, split_rows, splits
from mmext_instseg.datasets.labelme.splits import split_sizes


def polygon(x1, y1, x2, y2):
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


@pytest.mark.parametrize(
    ('total', 'ratios', 'expected'),
    [(20, (70, 15, 15), [14, 3, 3]), (435, (70, 15, 15), [305, 65, 65]), (20, (80, 0, 20), [16, 0, 4]), (7, (1, 1, 1), [3, 2, 2])],
)
def test_sizes_add_up(total, ratios, expected):
    assert split_sizes(total, ratios) == expected


@pytest.mark.parametrize(
    ('total', 'ratios', 'message'), [(3, (70, 15, 15), '3 images are too few'), (9, (1, -1, 1), '0 or more'), (9, (0, 0, 0), 'not all 0')]
)
def test_sizes_that_can_not_be(total, ratios, message):
    with pytest.raises(ValueError, match=message):
        split_sizes(total, ratios)


@pytest.mark.parametrize('seed', range(5))
def test_every_split_has_images_of_every_density(seed):
    """Images with 0 to 199 objects, each number twice: of n images of a split, one lies in each n-th part of the order."""
    counts = np.random.default_rng(seed).permutation(np.repeat(np.arange(200), 2))[:, None]
    drawn = split_by_density(counts, seed=seed)
    assert np.bincount(drawn).tolist() == [280, 60, 60]
    for index in range(3):
        objects = np.sort(counts[drawn == index, 0])
        ideal = (np.arange(len(objects)) + 0.5) / len(objects) * 200
        assert np.abs(objects - ideal).max() < 8
        assert abs(objects.mean() - 99.5) < 2


def test_classes_are_balanced(monkeypatch):
    """A rare class in 20 of 200 images of equal density: of one draw its share is off by several points, of the best it isn't."""
    counts = np.where(np.arange(200)[:, None] % 10, [10, 0], [2, 8])

    def uneven(seed):
        drawn = split_by_density(counts, seed=seed)
        return max(abs(counts[drawn == index, 1].sum() / counts[drawn == index].sum() - 0.08) for index in range(3))

    best = [uneven(seed) for seed in range(5)]
    monkeypatch.setattr(splits, '_DRAWS', 1)
    assert max(best) < 0.01 and np.mean([uneven(seed) for seed in range(5)]) > 0.03


def test_a_seed_names_a_split():
    counts = np.random.default_rng(0).integers(0, 30, (60, 2))
    assert np.array_equal(split_by_density(counts, seed=3), split_by_density(counts, seed=3))
    assert not np.array_equal(split_by_density(counts, seed=3), split_by_density(counts, seed=4))


def test_images_without_objects_can_be_split():
    assert np.bincount(split_by_density(np.zeros((20, 0), int))).tolist() == [14, 3, 3]


def test_frames_are_contiguous_by_number_not_by_text():
    names = ['v_b/f_2.left', 'v_b/f_10.left', 'v_b/f_1.left', 'v_a/f_7.left', 'v_a/f_30.left', 'v_a/f_9.left']
    assert split_by_frame(names, (3, 1, 2)).tolist() == [2, 2, 1, 0, 0, 0]
    with pytest.raises(ValueError, match='plan: no frame number'):
        split_by_frame(['a/plan', 'a/2'])


def test_report_by_hand():
    rows = split_rows(np.array([[1, 0], [2, 2], [0, 3]]), np.array([0, 0, 2]), ('house', 'shed'))
    assert rows[1:] == [
        ['train', '2', '5', '2.50', '1-4', '3 (60.0%)', '2 (40.0%)'],
        ['test', '1', '3', '3.00', '3-3', '0 (0.0%)', '3 (100.0%)'],
        ['all', '3', '8', '2.67', '1-4', '3 (37.5%)', '5 (62.5%)'],
    ]


@pytest.fixture
def coco():
    """10 x 10: a house of 20 pixels, a shed of 8 of which 4 lie on the house, and a crowd of 10."""
    regions = [(7, polygon(0, 0, 5, 4), 0), (3, polygon(4, 0, 6, 4), 0), (3, polygon(0, 9, 10, 10), 1)]
    annotations = [
        dict(id=number, image_id=1, category_id=category, segmentation=segmentation, iscrowd=crowd)
        for number, (category, segmentation, crowd) in enumerate(regions, 1)
    ]
    categories = [dict(id=7, name='house'), dict(id=3, name='shed')]
    return dict(images=[dict(id=1, height=10, width=10)], annotations=annotations, categories=categories)


def test_class_weights_by_hand(coco):
    """w_c = N_total / (C N_c), without the overlap of 4 and the crowd of 10."""
    pixels = class_pixels(coco)
    assert pixels == {'house': 16, 'shed': 4, 'background': 66}
    weights = class_weights(pixels)
    assert weights == pytest.approx({'house': 86 / 48, 'shed': 86 / 12, 'background': 86 / 198})
    assert torch.tensor([weights[name] * count for name, count in pixels.items()]).std() < 1e-5  # equal in all


def test_a_class_without_pixels(coco):
    coco['annotations'] = coco['annotations'][:1]
    with pytest.raises(ValueError, match="no pixel of 'shed'"):
        class_weights(class_pixels(coco))
    with pytest.raises(ValueError, match='panoptic annotations'):
        class_pixels({**coco, 'annotations': [dict(image_id=1, segments_info=[])]})
